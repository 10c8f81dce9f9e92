"""What every request goes through, once and in this order. One ASGI application for each operation, no layers.

1. An id for the request, and the API version that it wants.
2. Who asks (`core.access`), in which tenant, and whether they may. Not knowing comes before not being allowed, and
   another tenant's things are never "forbidden": they do not exist.
3. How fast they may ask (`ratelimit`).
4. What they ask: query, ``If-Match``, body. Wrong ones are refused before anything is done.
5. Whether it was asked before (`idempotency`).
6. The handler. Errors become problems (`problem`).
7. Headers, ``ETag``, 304.
"""

import asyncio
import math
from time import perf_counter
from typing import Any

import msgspec

from api.http import body as bodies
from api.http.answer import Answer
from api.http.ask import Ask
from api.http.etag import matches, parse_if_match
from api.http.idempotency import Repetition, check_key
from api.http.operation import PUBLIC, SIGNED_IN, Operation
from api.http.problem import MEDIA_TYPE, Refused, bad_parameter, encode_problem, problem_of
from api.http.ratelimit import Verdict
from api.http.request_id import request_id_of
from api.http.services import Services
from api.http.version import API_VERSION, KNOWN_VERSIONS
from api.http.wire import REPLY, status_line
from core.access.actors import Actor
from core.access.throttle import TooManyAttempts
from core.errors import InternalError, IrisxError, NotAllowed, NotAuthenticated, NotFound, Unavailable
from core.logs import get_logger

LOG = get_logger("http")

PROBLEM = MEDIA_TYPE.encode()
BASE_HEADERS: list[tuple[bytes, bytes]] = [
    (b"api-version", API_VERSION.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"vary", b"authorization, tenant, origin"),
]
NO_STORE = (b"cache-control", b"no-store")
REVALIDATE = (b"cache-control", b"private, no-cache")
RETRY_UNAVAILABLE_S = 2
"""What ``Retry-After`` says when a part is away: most come back within seconds."""

BASE_LINES = b"".join(b"%s: %s\r\n" % header for header in BASE_HEADERS)
_VERSIONS = {name.encode() for name in KNOWN_VERSIONS}


class Endpoint:
    """One operation as an ASGI application."""

    def __init__(self, operation: Operation, services: Services) -> None:
        self._operation = operation
        self._services = services
        self._counts = services.metrics.counts_of(operation.name)
        self._decoder: msgspec.json.Decoder[Any] | None = None
        if operation.body is not None:
            self._decoder = msgspec.json.Decoder(operation.body)
        self._permission = operation.permission
        self._guarded = operation.permission not in (PUBLIC, SIGNED_IN)
        self._writes = operation.method != "GET"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        began = perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = request_id_of(headers)
        ask: Ask[Any] = Ask(self._services, self._operation, scope, request_id)
        try:
            answer = await self._serve(ask, receive, send, headers)
        except IrisxError as exc:
            answer = self.refusal(exc, request_id, scope["path"])
        except asyncio.CancelledError:
            raise
        except Exception:
            # The one place where a bug of ours ends: the caller gets its id, the log gets the trace.
            LOG.exception("a request failed", request=request_id, operation=self._operation.name)
            failed = InternalError("something went wrong on our side; the log has it under this request's id")
            answer = self.refusal(failed, request_id, scope["path"])
        if answer is not None:
            await self._send(scope, send, answer, headers, request_id, ask.verdict)
            self._counts.add(answer.status, perf_counter() - began)

    async def _serve(
        self, ask: Ask[Any], receive: Any, send: Any, headers: dict[bytes, bytes]
    ) -> Answer | None:
        operation, scope = self._operation, ask.scope
        wanted = headers.get(b"api-version")
        if wanted is not None and wanted not in _VERSIONS:
            raise bad_parameter("Api-Version", f"there is only {API_VERSION}", code="unknown_version")
        actor = ask.someone = await self._who(headers, scope)
        limits: dict[str, Any] | None = None
        if actor is not None:
            ask.tenant_id, limits = await self._where(actor, headers)
            if self._guarded and self._permission not in actor.permissions:
                raise NotAllowed(f"this needs the permission {self._permission}")
        await self._limit(ask, actor, limits)
        ask.query = operation.query.read(scope["query_string"])
        if operation.if_match and b"if-match" in headers:
            ask.if_match = parse_if_match(headers[b"if-match"].decode("latin-1"))
        if operation.streaming:
            ask.transport = (receive, send)
            await operation.handler(ask)
            return None
        if not self._writes and self._decoder is None:
            return await operation.handler(ask)
        return await self._write(ask, receive, headers)

    async def _who(self, headers: dict[bytes, bytes], scope: Any) -> Actor | None:
        public = self._permission == PUBLIC
        if public and not self._operation.knows_actor:
            return None
        said = headers.get(b"authorization")
        if said is None or said[:7].lower() != b"bearer ":
            if public:
                return None
            raise NotAuthenticated(
                "send an access token or an API key: Authorization: Bearer …", code="no_credential"
            )
        credential = said[7:].strip().decode("latin-1")
        access = self._services.access
        actor = access.remembered.get(credential)
        if actor is not None and not actor.is_key:
            return actor
        try:
            return await access.authenticate(credential)
        except NotAuthenticated:
            if public:
                return None
            await self._limit_guessing(scope)
            raise

    async def _limit_guessing(self, scope: Any) -> None:
        """Whoever sends credentials that are none is slowed down, by address."""
        spent = await self._services.limits.spend_as_address(self._services.address_of(scope), "guesses")
        if not spent.allowed:
            raise _too_many(spent)

    async def _where(self, actor: Actor, headers: dict[bytes, bytes]) -> tuple[str, dict[str, Any]]:
        """The tenant that the request is about, and its limits."""
        named = headers.get(b"tenant")
        if named is None or named == actor.tenant_id.encode():
            return actor.tenant_id, actor.limits
        tenant_id = named.decode("latin-1")
        found = await self._services.tenant_limits(tenant_id) if actor.operator else None
        if found is None:
            raise NotFound("there is no such tenant", code="no_such_tenant")
        return tenant_id, found

    async def _limit(self, ask: Ask[Any], actor: Actor | None, stored: dict[str, Any] | None) -> None:
        limits, bucket = self._services.limits, self._operation.bucket
        if actor is None or bucket == "public":
            named = bucket if bucket == "webhooks" else "public"
            verdict = await limits.spend_as_address(self._services.address_of(ask.scope), named)
        else:
            held = limits.spend_now(ask.tenant_id, actor.id, bucket, stored)
            verdict = held or await limits.spend_as_caller(ask.tenant_id, actor.id, bucket, stored)
        ask.verdict = verdict
        if not verdict.allowed:
            raise _too_many(verdict)

    async def _write(self, ask: Ask[Any], receive: Any, headers: dict[bytes, bytes]) -> Answer:
        operation = self._operation
        raw = await bodies.read_body(headers.get(b"content-length"), receive)
        if self._decoder is None:
            if raw.strip() not in (b"", b"{}"):
                raise Refused(400, "unexpected_body", "this endpoint takes no body")
        elif raw or not operation.body_optional:
            bodies.check_type(headers)
            ask.body = bodies.decode(self._decoder, raw)
        if operation.idempotency == "none":
            return await operation.handler(ask)
        required = operation.idempotency == "required"
        key = check_key(headers.get(b"idempotency-key", b"").decode("latin-1"), required=required)
        if not key:
            return await operation.handler(ask)
        repetition = Repetition(ask, key)
        replayed = await repetition.begin(raw)
        if replayed is not None:
            return replayed
        try:
            answer = await operation.handler(ask)
        except IrisxError as exc:
            if not ask.delivered:
                await repetition.release()
                raise
            answer = self.refusal(exc, ask.request_id, ask.scope["path"])
        repetition.finish_later(answer)
        return answer

    @staticmethod
    def refusal(error: IrisxError, request_id: str, path: str) -> Answer:
        """``error`` as a problem, with the headers that belong to it."""
        problem = problem_of(error, request_id=request_id, instance=path)
        answer = Answer(problem.status, encode_problem(problem), PROBLEM)
        if isinstance(error, Refused):
            answer.headers = [(name.encode(), value.encode()) for name, value in error.headers]
        elif isinstance(error, TooManyAttempts):
            answer.headers = [(b"retry-after", b"%d" % max(1, math.ceil(error.retry_after_s)))]
        elif isinstance(error, NotAuthenticated):
            answer.headers = [(b"www-authenticate", f'Bearer realm="irisx", error="{error.code}"'.encode())]
        elif isinstance(error, Unavailable):
            answer.headers = [(b"retry-after", b"%d" % RETRY_UNAVAILABLE_S)]
        return answer

    async def _send(
        self,
        scope: Any,
        send: Any,
        answer: Answer,
        asked: dict[bytes, bytes],
        request_id: str,
        verdict: Verdict | None,
    ) -> None:
        status, body, etag = answer.status, answer.body, answer.etag
        headers = [*answer.headers, (b"request-id", request_id.encode())]
        if verdict is not None:
            headers += verdict.headers()
        if etag and status < 300:
            headers += [(b"etag", b'"%s"' % etag.encode()), REVALIDATE]
            known = asked.get(b"if-none-match")
            if known is not None and not self._writes and matches(known.decode("latin-1"), etag):
                status, body = 304, b""
        else:
            headers.append(NO_STORE)
        if status not in (204, 304):
            headers += [(b"content-type", answer.media), (b"content-length", b"%d" % len(body))]
        extensions = scope.get("extensions")
        reply = extensions.get(REPLY) if extensions else None
        if reply is not None:
            lines = b"".join([b"%s: %s\r\n" % header for header in headers])
            await reply(status_line(status) + BASE_LINES + lines, body)
            return
        await send({"type": "http.response.start", "status": status, "headers": BASE_HEADERS + headers})
        await send({"type": "http.response.body", "body": body})


def _too_many(verdict: Verdict) -> Refused:
    wait_s = max(1, math.ceil(verdict.wait_s))
    return Refused(
        429,
        "rate_limited",
        f"too many {verdict.name}: wait {wait_s} s",
        headers=[("retry-after", str(wait_s))],
    )
