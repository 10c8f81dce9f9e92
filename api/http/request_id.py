"""The id of a request: the caller's own if it is usable, else a fresh one. It is in the answer, in our logs, in the
order to a controller and on the channels that follow from it."""

import re
import secrets

_USABLE = re.compile(rb"[A-Za-z0-9._-]{1,64}").fullmatch


def request_id_of(headers: dict[bytes, bytes]) -> str:
    said = headers.get(b"request-id")
    if said is not None and _USABLE(said):
        return said.decode()
    return "req_" + secrets.token_hex(12)
