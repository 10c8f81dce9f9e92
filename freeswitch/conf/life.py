"""The controller's sign of life on a switch: how inbound calls know whether somebody is there to take them.

The dialplan of a parked-for-the-controller switch needs one honest answer at the moment a call comes in: is a
controller alive? It reads the global variable `VARIABLE`. A controller sets it again and again, and each time
it first leaves behind, in the switch's own scheduler, the order to take it back.

Why in this form:

- All timing is the switch's. An epoch written by the controller would compare two clocks.
- Every sign carries its own token, and the order to take it back only acts while that very token still stands.
  So nothing has to be cancelled, a late timer of a dead controller cannot silence its heir, and losing the
  connection between the two commands does no harm.
- The dialplan compares text. Comparing times would need ``${api(...)}`` calls inside the dialplan, which the
  shipped configuration switches off altogether.
- `VARIABLE` is never given a first value in the configuration: `reloadxml` would set it back.
"""

import re

VARIABLE = "irisx_controller"
HERE = "here-"
"""What a living controller's value begins with; the dialplan asks for exactly this."""

REFRESH_SECONDS = 3
EXPIRE_SECONDS = 10
"""Three refreshes may be lost before calls are sent away. The scheduler counts whole seconds."""

_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,64}")


def sign_of_life(token: str, *, expire_seconds: int = EXPIRE_SECONDS) -> tuple[str, str]:
    """The two ``api`` commands of one sign, to be sent in this order; ``token`` must be new each time.

    Both answer ``+OK``. Raises `ValueError` for a token that could be taken for syntax.
    """
    if not _TOKEN.fullmatch(token):
        raise ValueError("a token is made of letters, digits, dots, dashes and underscores")
    if expire_seconds < 1:
        raise ValueError("a sign of life must live for a second at least")
    value = f"{HERE}{token}"
    # global_setvar NAME=NEW=OLD sets NEW only if OLD is what stands there (mod_commands).
    return (
        f"sched_api +{expire_seconds} {VARIABLE} global_setvar {VARIABLE}=gone={value}",
        f"global_setvar {VARIABLE}={value}",
    )


def sign_off(token: str) -> str:
    """The ``api`` command of a controller that leaves on purpose; it leaves a successor's sign alone."""
    if not _TOKEN.fullmatch(token):
        raise ValueError("a token is made of letters, digits, dots, dashes and underscores")
    return f"global_setvar {VARIABLE}=gone={HERE}{token}"
