"""A Python environment of its own that sees ours: plugins are installed into it, and ours stays as it is."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path


class Environment:
    """A venv without copies: its packages come first, then those that run this test."""

    def __init__(self, place: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True, timeout=60)
        self.bin = place / "bin"
        self.python = self.bin / "python"
        ours = sysconfig.get_path("purelib")
        (packages,) = place.glob("lib/python3*/site-packages")
        (packages / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
        irisx = self.bin / "irisx"
        irisx.write_text(f"#!{self.python}\nfrom api.cli import main\nmain()\n")
        irisx.chmod(0o755)

    @property
    def variables(self) -> dict[str, str]:
        """For a shell that has activated it."""
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        path = f"{self.bin}:{kept.get('PATH', '')}"
        return kept | {
            "PATH": path,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INDEX": "1",
            "NO_COLOR": "1",
            "COLUMNS": "160",
        }

    def install(self, project: Path) -> None:
        """As people do, without asking any index."""
        self.run(
            "python",
            "-m",
            "pip",
            "install",
            "-q",
            "--no-index",
            "--no-deps",
            "--no-build-isolation",
            str(project),
        )

    def run(self, *words: str, fails: bool = False) -> str:
        """Run a command and return what it printed."""
        done = subprocess.run(
            [str(self.bin / words[0]), *words[1:]],
            capture_output=True,
            text=True,
            env=self.variables,
            timeout=120,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout
