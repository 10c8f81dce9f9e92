"""The id of a request: the caller's own if it is usable, else a fresh one. It is in the answer, in our logs, in the
order to a controller and on the channels that follow from it."""

import itertools
import re
import secrets

_USABLE = re.compile(rb"[A-Za-z0-9._-]{1,64}").fullmatch
# Nobody must guess these ids, they must only differ: chance for the process, a number for the request.
_PROCESS = secrets.token_hex(8)
_numbers = itertools.count(1)


def request_id_of(headers: dict[bytes, bytes]) -> str:
    said = headers.get(b"request-id")
    if said is not None and _USABLE(said):
        return said.decode()
    return f"req_{_PROCESS}{next(_numbers):x}"
