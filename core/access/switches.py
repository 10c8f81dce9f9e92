"""The password by which a switch asks for its directory: derived, so that nothing has to be stored or brought about."""

import base64

from core.access.tokens import derive, same


def directory_password(secret: str, node_id: str) -> str:
    """What the switch ``node_id`` shows. ``secret`` is the installation's; of several the first makes it."""
    return _made(secret.split(",")[0].strip(), node_id)


def is_directory_password(secret: str, node_id: str, shown: str) -> bool:
    """Whether ``shown`` is that password, under any secret that is in force."""
    given = shown.encode("utf-8", "replace")
    made = [_made(one.strip(), node_id).encode() for one in secret.split(",")]
    return same(made, given)


def _made(secret: str, node_id: str) -> str:
    return base64.urlsafe_b64encode(derive(secret, f"directory {node_id}")[:24]).decode()
