"""Join the fragments of this folder into ``CHANGELOG.md``: ``python3 changelog/join.py VERSION [--draft]``."""

import argparse
import sys
from datetime import UTC, date, datetime
from pathlib import Path

KINDS = {"feature": "New", "change": "Changed", "fix": "Fixed", "removal": "Removed", "security": "Security"}
TITLE = "# Changes\n"


class BadFragment(Exception):
    """A file that is no fragment; the message says why."""


def read_fragments(folder: Path) -> dict[str, list[tuple[str, Path]]]:
    """The fragments of each kind, in the order of their names. Raises `BadFragment`."""
    found: dict[str, list[tuple[str, Path]]] = {kind: [] for kind in KINDS}
    for path in sorted(folder.glob("*.md")):
        if path.name == "README.md":
            continue
        parts = path.name.split(".")
        if len(parts) != 3 or parts[1] not in KINDS:
            raise BadFragment(f"{path.name} is not called <word>.<{'|'.join(KINDS)}>.md")
        text = " ".join(path.read_text(encoding="utf-8").split())
        if not text:
            raise BadFragment(f"{path.name} says nothing")
        found[parts[1]].append((text, path))
    return found


def section(fragments: dict[str, list[tuple[str, Path]]], version: str, day: date) -> str:
    """The part of the changelog for one version."""
    lines = [f"## {version} ({day.isoformat()})", ""]
    for kind, title in KINDS.items():
        if fragments[kind]:
            lines += [f"### {title}", "", *(f"- {text}" for text, _ in fragments[kind]), ""]
    return "\n".join(lines)


def join(root: Path, version: str, day: date) -> str:
    """Write the section of ``version`` into ``root/CHANGELOG.md``, newest first, and remove its fragments."""
    fragments = read_fragments(root / "changelog")
    fresh = section(fragments, version, day)
    target = root / "CHANGELOG.md"
    before = target.read_text(encoding="utf-8").removeprefix(TITLE).lstrip("\n") if target.exists() else ""
    target.write_text(f"{TITLE}\n{fresh}\n{before}".rstrip() + "\n", encoding="utf-8")
    for kind in KINDS:
        for _, path in fragments[kind]:
            path.unlink()
    return fresh


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version")
    parser.add_argument("--draft", action="store_true", help="print, change nothing")
    given = parser.parse_args()
    root, today = Path(__file__).resolve().parent.parent, datetime.now(UTC).date()
    try:
        if given.draft:
            print(section(read_fragments(root / "changelog"), given.version, today))
        else:
            print(join(root, given.version, today))
    except BadFragment as bad:
        print(bad, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
