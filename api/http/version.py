"""Which version this is: of the software, and of the API."""

from importlib.metadata import PackageNotFoundError, version

API_VERSION = "2026-11-22"
"""The newest dated generation inside ``/v1``. A request may name one with ``Api-Version``; there is one so far."""
KNOWN_VERSIONS = frozenset({API_VERSION})


def _installed() -> str:
    try:
        return version("irisx")
    except PackageNotFoundError:
        return "0+source"


VERSION = _installed()
