"""The API process: composition, start, stop.

`serve` is what ``irisx api`` runs. `create_app` builds the same application for a loop that somebody else runs; its
parts live as long as the lifespan does.
"""

import asyncio
import contextlib
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from litestar import Litestar, Request, Response, asgi
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from api.http import openapi
from api.http.front import Front
from api.http.operation import Operation
from api.http.origin import Origins
from api.http.pages import Pages, find_build
from api.http.pipeline import PROBLEM, Endpoint
from api.http.problem import Refused, encode_problem, problem_of
from api.http.request_id import request_id_of
from api.http.server import server_of
from api.http.services import Services
from api.http.signaling import connect_sources
from api.http.starting import answer_for_now
from api.http.stream_ws import StreamSocket
from api.http.table import OPERATIONS
from api.opening import Limits, end, open_services
from core import heap
from core.access.passwords import Passwords
from core.config import ConfigError, Settings
from core.errors import InternalError, IrisxError, NotFound, PeerError, Unavailable
from core.logs import get_logger, set_up

__all__ = ["Application", "create_app", "serve", "server_of"]

LOG = get_logger("api")

_INBOUND = re.compile(r"/v1/channels/([^/]+)/inbound")
_DELIVERED = {"POST": "receive_webhook", "GET": "prove_webhook"}
"""The operations there, by method (`api.http.inbound`)."""
START_S = 3.0
"""How long a start waits for the database before it listens without."""


class Application:
    """The whole API as an ASGI application; its parts exist while `running` does."""

    def __init__(
        self,
        settings: Settings,
        *,
        pages: Path | None = None,
        limits: Limits | None = None,
        passwords: Passwords | None = None,
    ) -> None:
        """``limits`` and ``passwords`` replace the defaults, for tests and benches. Raises `ConfigError` when there
        is no secret: a signature with an empty one proves nothing."""
        if not settings.secret.strip(" ,"):
            raise ConfigError("IRISX_SECRET is empty: nothing that is signed with it would mean anything")
        self.settings = settings
        self.services: Services | None = None
        """None until the database was reached for the first time."""
        self._waits_for: PeerError = Unavailable("the database is out of reach", code="database_down")
        self._limits = limits
        self._passwords = passwords
        self.origins = Origins(
            public_url=settings.public_url, proxies=settings.proxies, allowed=settings.cors_origins
        )
        self._endpoints: dict[str, Endpoint] = {}
        self.litestar = Litestar(
            route_handlers=[*map(self._route, OPERATIONS), self._stream(), self._document()],
            lifespan=[lambda _: self.running()],
            exception_handlers={HTTPException: _refused, Exception: _refused},
            openapi_config=None,
            logging_config=None,
        )
        self._front = Front(self._answer, Pages(find_build(pages), connect_sources(settings)), self.origins)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._front(scope, receive, send)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        if self.services is not None or scope["type"] == "lifespan":
            endpoint = self._busiest(scope)
            await (self.litestar if endpoint is None else endpoint)(scope, receive, send)
        else:
            await answer_for_now(scope, send, self._waits_for)

    def _busiest(self, scope: Any) -> Endpoint | None:
        """Where providers deliver, past Litestar's routing: the one address whose requests come by the thousand."""
        if scope["type"] != "http" or not scope["path"].endswith("/inbound"):
            return None
        found = _INBOUND.fullmatch(scope["path"])
        name = _DELIVERED.get(scope["method"])
        if found is None or name is None:
            return None
        scope["path_params"] = {"channel_id": found[1]}
        return self._endpoints[name]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connect to everything, serve, and let go of it.

        Without a database for `START_S` it goes on and waits in the background, as long as it takes.
        """
        async with AsyncExitStack() as stack:
            opening = asyncio.create_task(self._open(stack))
            try:
                await asyncio.wait([opening], timeout=START_S)
                if opening.done():
                    opening.result()
                opening.add_done_callback(_stop_if_failed)
                yield
            finally:
                await end(opening)
                if self.services is not None:
                    self.services.drain()
                    await self.services.access.write_uses()

    async def _open(self, stack: AsyncExitStack) -> None:
        services = await open_services(
            self.settings,
            stack,
            origins=self.origins,
            limits=self._limits,
            passwords=self._passwords,
            missing=self._missing,
        )
        self._endpoints = {operation.name: Endpoint(operation, services) for operation in OPERATIONS}
        self.services = services
        LOG.info("api started", operations=len(OPERATIONS))

    def _missing(self, why: PeerError) -> None:
        self._waits_for = why

    def drain(self) -> None:
        """Stop being ready, while what has begun is finished."""
        if self.services is not None:
            self.services.drain()

    def _route(self, operation: Operation) -> HTTPRouteHandler:
        """The operation as a route of Litestar's.

        The handler takes nothing and gives back an ASGI application, which Litestar then runs with the request: so
        routing is Litestar's and everything else is one pass of ours (measured in api/README.md).
        """

        async def handle() -> ASGIApp:
            return self._endpoints[operation.name]

        handle.__name__ = operation.name
        return HTTPRouteHandler(
            operation.route.replace("}", ":str}"),
            http_method=[operation.method],  # type: ignore[list-item]  # one of HTTP's
            status_code=200,  # ours to say: Litestar only looks whether a body fits it
            opt={"operation": operation},
        )(handle)

    def _stream(self) -> Any:
        @asgi("/v1/stream", copy_scope=False)
        async def stream(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == ScopeType.WEBSOCKET:
                services = self._ready()
                await StreamSocket(services.streams, services.access)(scope, receive, send)
                return
            error = Refused(
                426,
                "websocket_only",
                "this address speaks WebSocket; for plain HTTP there is /v1/stream/sse",
                headers=[("upgrade", "websocket"), ("connection", "upgrade")],
            )
            await _send_problem(error, scope, send)

        return stream

    def _document(self) -> Any:
        text = openapi.text()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(text)),
            (b"cache-control", b"no-cache"),
            (b"x-content-type-options", b"nosniff"),
        ]

        @asgi("/v1/openapi.json", copy_scope=False)
        async def document(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP or scope["method"] != "GET":
                await _send_problem(Refused(405, "method_not_allowed", "GET it"), scope, send)
                return
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": text, "more_body": False})

        return document

    def _ready(self) -> Services:
        if self.services is None:
            raise InternalError("the application is not running")
        return self.services


def create_app(settings: Settings, **options: Any) -> Application:
    """The application for ``settings``; see `Application`."""
    return Application(settings, **options)


def _refused(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """What Litestar itself refuses (no such address, wrong method), in our words."""
    headers: dict[str, str] = {}
    ours: IrisxError
    if isinstance(error, NotFoundException):
        ours = NotFound("there is nothing at this address", code="no_such_address")
    elif isinstance(error, MethodNotAllowedException):
        headers.update(error.headers or {})
        ours = Refused(405, "method_not_allowed", f"{request.method} does not work here")
    elif isinstance(error, HTTPException) and error.status_code < 500:
        ours = Refused(error.status_code, "bad_request", error.detail or "the request is not valid")
    else:
        LOG.error("a request failed outside of every handler", exc_info=error)
        ours = InternalError("something went wrong on our side")
    request_id = request_id_of(dict(request.scope["headers"]))
    problem = problem_of(ours, request_id=request_id, instance=request.scope["path"])
    return Response(
        encode_problem(problem),
        status_code=problem.status,
        media_type=PROBLEM.decode(),
        headers={**headers, "Request-Id": request_id, "Cache-Control": "no-store"},
    )


async def _send_problem(error: IrisxError, scope: Any, send: Any) -> None:
    answer = Endpoint.refusal(error, request_id_of(dict(scope["headers"])), scope["path"])
    headers = [(b"content-type", PROBLEM), (b"content-length", b"%d" % len(answer.body)), *answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _stop_if_failed(opening: "asyncio.Task[None]") -> None:
    """What was no matter of waiting ends the process in good order; its log has the reason."""
    if not opening.cancelled() and (error := opening.exception()) is not None:
        LOG.critical("the api cannot start", exc_info=error)
        signal.raise_signal(signal.SIGTERM)


def serve(settings: Settings) -> None:
    """Run the API until SIGTERM or SIGINT. Raises `ConfigError` before anything is opened when it cannot work."""
    set_up(process="api", level=settings.log_level, form=settings.log_format)
    host, port = settings.listen_address()
    application = create_app(settings)
    server = server_of(application, host=host, port=port)
    heap.settle()
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise SystemExit(3)
