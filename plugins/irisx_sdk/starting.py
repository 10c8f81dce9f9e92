"""Starting a plugin: a copy of the example channel under another name, which conforms before a word of it is changed."""

import keyword
import re
from pathlib import Path

PLACES = (
    Path(__file__).parent / "example",
    Path(__file__).parents[2] / "docs" / "examples" / "irisx-example-channel",
)
"""In an installed wheel, and in the repository."""

_NAME = re.compile(r"[a-z][a-z0-9]{1,30}")
_SUFFIXES = {".py", ".toml", ".md"}


def example() -> dict[str, str]:
    """The example's files, by their path. Raises `FileNotFoundError` when the installation has none."""
    for place in PLACES:
        files = [path for path in sorted(place.rglob("*")) if path.is_file() and path.suffix in _SUFFIXES]
        if files:
            return {path.relative_to(place).as_posix(): path.read_text() for path in files}
    raise FileNotFoundError("the example channel is not part of this installation")


def start(name: str, into: Path) -> Path:
    """Write the project ``irisx-NAME`` into a folder and return where it is.

    ``name`` is the channel's: small letters and digits. Raises `ValueError` for another one and `FileExistsError` when
    something is there already; then nothing is written.
    """
    files = example()
    title = name.capitalize()
    if not _NAME.fullmatch(name):
        raise ValueError("a name is 2 to 31 small letters and digits, a letter first")
    words = set(re.findall(r"\w+", " ".join(files.values())))
    if title != "Bulletin" and (keyword.iskeyword(title) or {title, f"Fake{title}"} & words):
        raise ValueError(f"{title} means something else in the code of a channel: take another name")
    project = into / f"irisx-{name}"
    project.mkdir(parents=True)
    for path, text in files.items():
        file = project / _renamed(path, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_renamed(text, name))
    return project


def _renamed(text: str, name: str) -> str:
    return text.replace("bulletin", name).replace("Bulletin", name.capitalize())
