"""The API's description and what is generated from it: written anew, or with ``--check`` compared.

``dashboards/openapi.json`` is what the code declares, ``src/lib/api/schema.d.ts`` the same as types for the pages. Both are
committed, so that a change of the API is seen where it is reviewed.
"""

import os
import subprocess
import sys
from pathlib import Path

from bootstrap import pages, python
from bootstrap.steps import ROOT

DESCRIPTION = pages.PAGES / "openapi.json"
TYPES = pages.PAGES / "src" / "lib" / "api" / "schema.d.ts"


def declared() -> bytes:
    """The description as the code declares it now."""
    return subprocess.run(
        [python.PYTHON, "-m", "api.http.openapi"], cwd=ROOT, stdout=subprocess.PIPE, check=True
    ).stdout


def types_of(description: Path) -> bytes:
    """The pages' types for a description."""
    path = f"{pages.node_folder()}{os.pathsep}{os.environ.get('PATH', '')}"
    generator = pages.MODULES / ".bin" / "openapi-typescript"
    return subprocess.run(
        [generator, description],
        cwd=pages.PAGES,
        env={**os.environ, "PATH": path, "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    ).stdout


def main() -> int:
    check = "--check" in sys.argv[1:]
    fresh = declared()
    if not check:
        DESCRIPTION.write_bytes(fresh)
        TYPES.write_bytes(types_of(DESCRIPTION))
        return 0
    behind = []
    if DESCRIPTION.read_bytes() != fresh:
        behind.append(DESCRIPTION)
    elif not TYPES.exists() or TYPES.read_bytes() != types_of(DESCRIPTION):
        behind.append(TYPES)
    for path in behind:
        print(f"{path.relative_to(ROOT)} is not what the code declares: make description")
    return 1 if behind else 0


if __name__ == "__main__":
    sys.exit(main())
