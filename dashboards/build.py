"""Build the pages: ``python -m dashboards.build``.

The steps are those of `make up` (`bootstrap.pages`): find a node or take the one from the wheel, install what the
lock names, build, and skip all of it while nothing changed. Here they can be run alone, and a build of the wheel
calls `ensure`.
"""

import sys
from pathlib import Path

BUILD = Path(__file__).parent / "build"


def ensure() -> Path:
    """The folder with the built pages, built now if their sources changed. Raises `SystemExit` with the reason."""
    from bootstrap import pages
    from bootstrap.steps import BootstrapError, Steps

    try:
        pages.prepare(Steps(1), {}, tools=False)
    except BootstrapError as exc:
        raise SystemExit(f"the pages could not be built: {exc}") from exc
    return BUILD


def main() -> int:
    ensure()
    return 0


if __name__ == "__main__":
    sys.exit(main())
