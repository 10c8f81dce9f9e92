"""Changing what somebody has read: refused when it has been changed since."""

from core.errors import RequestError


class ChangedMeanwhile(RequestError):
    """What the caller read is not what there is now."""

    status_hint = 412
    code = "changed_meanwhile"


def check_version(present: int, wanted: int | None) -> None:
    """Raises `ChangedMeanwhile` unless ``wanted`` (None: the caller does not mind) is the present version."""
    if wanted is not None and wanted != present:
        raise ChangedMeanwhile("it was changed since you read it; read it again")
