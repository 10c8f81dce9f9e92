"""Debian packages without root: an apt of our own beside the system's.

apt solves and downloads into `.tools/apt` with the machine's own sources, keys and proxy settings, looking at the
system's list of installed packages, so that only what is truly missing comes. The packages are unpacked, not
installed: nothing outside the checkout changes and no maintainer script runs.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from bootstrap.steps import TOOLS, BootstrapError, run

APT = TOOLS / "apt"
CERTIFICATES = TOOLS / "ca-certificates.crt"
_SYSTEM_CERTIFICATES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/cert.pem"),
)


def available() -> bool:
    """Whether this is a machine whose packages we can fetch."""
    return (
        all(shutil.which(tool) for tool in ("apt-get", "dpkg-deb")) and Path("/var/lib/dpkg/status").exists()
    )


def is_root() -> bool:
    return os.geteuid() == 0


def _options() -> list[str]:
    state, cache = APT / "state", APT / "cache"
    for folder in (state / "lists" / "partial", cache / "archives" / "partial", APT / "log"):
        folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "Dir::State": state,
        "Dir::State::lists": state / "lists",
        "Dir::State::extended_states": state / "extended_states",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": cache,
        "Dir::Cache::archives": cache / "archives",
        "Dir::Log": APT / "log",
        # Nobody else uses these folders, and a normal user may not take the system's locks.
        "Debug::NoLocking": "1",
        # As root apt would drop to a user who cannot write into the checkout.
        "APT::Sandbox::User": "root",
        "APT::Update::Post-Invoke": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "APT::Keep-Downloaded-Packages": "true",
    }
    out: list[str] = []
    for name, value in settings.items():
        out += ["-o", f"{name}={value}"]
    return out


def _update(show: Callable[[str], None]) -> None:
    show("reading the package lists")
    run(["apt-get", *_options(), "-q", "update"], log="apt-update", show=show, tell=_first_words)


def _first_words(line: str) -> str | None:
    line = line.strip()
    return f"apt: {line[:90]}" if line.startswith(("Get:", "Hit:", "Fetched")) else None


def fetch(names: Sequence[str], show: Callable[[str], None], *, alone: bool = False) -> list[Path]:
    """Download these packages and, unless ``alone``, all that they need beyond what is installed."""
    if not available():
        raise BootstrapError(
            f"this is not a Debian machine: install {', '.join(names)} by its own means and try again"
        )
    archives = APT / "cache" / "archives"
    shutil.rmtree(archives, ignore_errors=True)
    options = _options()
    _update(show)
    show(f"downloading {', '.join(names)}")
    if alone:
        run(
            ["apt-get", *options, "-q", "download", *names],
            log="apt-download",
            cwd=archives,
            show=show,
            tell=_first_words,
        )
    else:
        run(
            [
                "apt-get",
                *options,
                "-q",
                "-y",
                "--no-install-recommends",
                "--download-only",
                "install",
                *names,
            ],
            log="apt-download",
            show=show,
            tell=_first_words,
        )
    return sorted(archives.glob("*.deb"))


def unpack(packages: Sequence[Path], into: Path, show: Callable[[str], None]) -> None:
    """Lay the packages' files into a folder."""
    into.mkdir(parents=True, exist_ok=True)
    for number, package in enumerate(packages, 1):
        show(f"unpacking {number} of {len(packages)}: {package.name.split('_')[0]}")
        run(["dpkg-deb", "-x", package, into], log="dpkg-deb")


def install(names: Sequence[str], show: Callable[[str], None]) -> None:
    """Install packages on the system; for root only."""
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    # Another installation may be going on (a fresh cloud machine updates itself): wait for its lock.
    options = ["-q", "-y", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]
    run(["apt-get", *options, "update"], log="apt-update", env=env, show=show, tell=_first_words)
    run(
        ["apt-get", *options, "--no-install-recommends", "install", *names],
        log="apt-install",
        env=env,
        show=show,
        tell=lambda line: (
            f"apt: {line.strip()[:90]}" if line.startswith(("Get:", "Unpacking", "Setting up")) else None
        ),
    )


def python_wheels(show: Callable[[str], None]) -> Path:
    """A folder with Debian's own pip wheel, for a Python that came without one."""
    root = TOOLS / "pip-wheels"
    wheels = root / "usr" / "share" / "python-wheels"
    if not list(wheels.glob("pip-*.whl")):
        unpack(fetch(["python3-pip-whl"], show, alone=True), root, show)
    if not list(wheels.glob("pip-*.whl")):
        raise BootstrapError(
            "Debian's python3-pip-whl holds no pip wheel; install python3-venv and try again"
        )
    return wheels


def certificates(show: Callable[[str], None]) -> dict[str, str]:
    """Settings that let pip trust what this machine's own settings trust.

    Empty where the machine has certificates or says itself where they are. A minimal Debian has none: then
    Debian's own set is unpacked beside us.
    """
    if any(os.environ.get(name) for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")):
        return {}
    if any(path.exists() for path in _SYSTEM_CERTIFICATES) or not available():
        return {}
    if not CERTIFICATES.exists():
        root = TOOLS / "certificates"
        unpack(fetch(["ca-certificates"], show, alone=True), root, show)
        found = sorted((root / "usr" / "share" / "ca-certificates").rglob("*.crt"))
        CERTIFICATES.write_text("".join(path.read_text() for path in found))
    return {"PIP_CERT": str(CERTIFICATES)}


def library_folders(root: Path) -> list[Path]:
    """Where unpacked packages keep their shared libraries: some have a folder of their own (pulseaudio, nss)."""
    folders = [root / "usr" / "lib", root / "lib"]
    for top in list(folders):
        for place in sorted(top.glob("*-linux-gnu*")):
            folders.append(place)
            folders += sorted({library.parent for library in place.glob("*/lib*.so*")})
    return [folder for folder in folders if folder.is_dir()]
