"""``Idempotency-Key``: a request that is repeated gets the first answer again and does nothing a second time.

The rules follow draft-ietf-httpapi-idempotency-key-header-07: 400 where a key is required and missing, 409 while the
first request still runs, 422 when the key was used for something else. The key is taken only when the request was
understood and allowed, and given back when nothing was done, so a refused request does not burn it.
"""

import asyncio
import hashlib
from typing import Any

from api.http.answer import Answer
from api.http.ask import Ask
from api.http.problem import Refused, bad_parameter
from core.errors import Conflict, IrisxError
from core.logs import get_logger
from core.storage import access_idempotency as records
from core.storage.access_idempotency import Kept

LOG = get_logger("idempotency")

MAX_KEY = 255
STILL_RUNS_S = 20.0
"""After this time without an answer the process that ran the request is taken for dead: no order takes longer than 15 s
(`orders.DEADLINE_S`), and who repeats a request waits no longer than it must for the truth."""


def check_key(text: str, *, required: bool) -> str:
    """The key; empty when there is none and none is needed. Raises `Invalid`."""
    if not text:
        if required:
            raise bad_parameter(
                "Idempotency-Key",
                "is required here: it makes a repetition safe",
                code="idempotency_key_required",
            )
        return ""
    if len(text) > MAX_KEY or not all("!" <= char <= "~" for char in text):
        raise bad_parameter("Idempotency-Key", f"1 to {MAX_KEY} visible ASCII characters")
    return text


class Repetition:
    """One key that this request holds until it is answered."""

    def __init__(self, ask: Ask[Any], key: str) -> None:
        self._ask = ask
        self._names = {"tenant_id": ask.tenant_id, "actor": ask.actor.id, "key": key}
        self._slot = (ask.tenant_id, ask.actor.id, key)

    async def begin(self, raw: bytes) -> Answer | None:
        """Take the key: None. Or the answer that was given to it before. Raises `Refused`, `Conflict`."""
        scope = self._ask.scope
        asked = b"\n".join((scope["method"].encode(), scope["path"].encode(), scope["query_string"], raw))
        fingerprint = hashlib.sha256(asked).digest()
        finishing = self._ask.services.finishing.get(self._slot)
        if finishing is not None:
            await asyncio.wait([finishing])
        async with self._ask.services.database.reader(self._ask.tenant_id) as conn:
            kept = await records.claim(conn, fingerprint=fingerprint, **self._names)
        if kept is None:
            return None
        if kept.fingerprint != fingerprint:
            raise Refused(422, "idempotency_key_reused", "the key was used for another request")
        if not kept.finished:
            raise _running(kept)
        return _replay(kept)

    def finish_later(self, answer: Answer) -> None:
        """Keep the answer while it is on its way: whoever needs it is somebody who did not get it.

        A repetition that comes in this moment waits for it here, and is told to ask again by another process.
        """
        services = self._ask.services
        task = services.finishing[self._slot] = services.later(self._finish(answer))
        task.add_done_callback(lambda _: services.finishing.pop(self._slot, None))

    async def _finish(self, answer: Answer) -> None:
        """When the store fails now the request is answered all the same: it was done."""
        location = next((value for name, value in answer.headers if name == b"location"), b"")
        try:
            async with self._ask.services.database.reader(self._ask.tenant_id) as conn:
                await records.keep(
                    conn,
                    status=answer.status,
                    body=answer.body if answer.kept is None else answer.kept,
                    media=answer.media.decode(),
                    location=location.decode(),
                    **self._names,
                )
        except IrisxError as exc:
            LOG.warning("an answer is not kept", request=self._ask.request_id, error=exc.code)

    async def release(self) -> None:
        """Give the key back: nothing was done."""
        try:
            async with self._ask.services.database.reader(self._ask.tenant_id) as conn:
                await records.release(conn, **self._names)
        except IrisxError as exc:
            LOG.warning("a key is not given back", request=self._ask.request_id, error=exc.code)


def _running(kept: Kept) -> IrisxError:
    if kept.age_s < STILL_RUNS_S:
        return Refused(
            409,
            "still_running",
            "the first request with this key is not answered yet",
            headers=[("retry-after", "1")],
        )
    return Conflict(
        "the first request with this key was never answered: whether it was done is not known",
        code="outcome_unknown",
    )


def _replay(kept: Kept) -> Answer:
    answer = Answer(kept.status, kept.body, kept.media.encode())
    answer.headers = [(b"idempotent-replayed", b"true")]
    if kept.location:
        answer.headers = [*answer.headers, (b"location", kept.location.encode())]
    return answer
