"""Logs for people and machines: console lines on a terminal, one JSON object a line elsewhere.

The rule of the house: logs carry ids, never content. Who called whom, pressed keys, names, message text and
secrets stay out. Writers keep to it; `withhold` is the net under them, because one forgotten keyword argument
is enough to fill a disk with telephone numbers.

Records of libraries (uvicorn, alembic, boto3) come through the same renderer.
"""

import io
import json
import logging
import sys
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

CONTENT = frozenset(
    [
        "authorization",
        "body",
        "caller",
        "caller_name",
        "caller_number",
        "cookie",
        "destination",
        "digits",
        "dsn",
        "email",
        "from_number",
        "key",
        "message_text",
        "password",
        "phone",
        "secret",
        "sdp",
        "text",
        "to_number",
        "token",
        "url",
    ]
)
"""Keys whose values are content or secrets, whatever module writes them."""

_QUIET = (
    *("alembic", "asyncio", "boto3", "botocore", "s3transfer", "sqlalchemy", "urllib3"),
    *("httpcore", "httpx", "trio-websocket"),
    *("uvicorn.access", "uvicorn.asgi", "uvicorn.error"),
)
"""Libraries that are heard from level warning on, and none of them may be quieted anywhere else: levels belong to the
whole process. One line of these per request or query is noise at our volume, and theirs may quote what we must not:
uvicorn's repeat addresses with their query, which is where people put tokens by mistake, and httpx's those of
providers, where Telegram's tokens are on purpose."""


def withhold(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace what must not be in a log by a mark that shows that it was there."""
    for key in event.keys() & CONTENT:
        event[key] = "[withheld]"
    return event


def set_up(*, process: str, level: str = "info", form: str = "auto", stream: TextIO | None = None) -> None:
    """Send all logs of this process to ``stream`` (standard error by default).

    ``process`` (controller, api ...) is on every line. ``form`` is console, json, or auto. May be called
    again: the last call holds.
    """
    given = sys.stderr if stream is None else stream
    console = form == "console" or (form == "auto" and given.isatty())
    out = _Unfailing(given)
    number = getattr(logging, level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
        _named(process),
        withhold,
    ]
    last: list[Any]
    if console:
        last = [structlog.dev.ConsoleRenderer(colors=given.isatty(), exception_formatter=_plain_traceback)]
    else:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_json)]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(out),  # type: ignore[arg-type]  # it writes and flushes, no more
        # Not cached: module-level loggers exist before `set_up`, and tests set up more than once.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def get_logger(room: str) -> FilteringBoundLogger:
    """The logger of a room; ``room`` is on each of its lines."""
    logger: FilteringBoundLogger = structlog.get_logger(room=room)
    return logger


def _named(process: str) -> Any:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return add


def _plain_traceback(out: TextIO, info: Any) -> None:
    # The rich renderer prints local variables, and those are full of content.
    structlog.dev.plain_traceback(out, info)


def _json(event: EventDict, **_options: Any) -> str:
    # A value no JSON exists for must not cost the line.
    try:
        return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # a number beyond 64 bits, half of a surrogate pair
        return json.dumps(event, default=repr, skipkeys=True)


class _Unfailing(io.TextIOBase):
    """A stream whose failures (a full disk, a reader that went away) are counted instead of raised: a program
    that controls calls does not end because its log cannot be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failures = 0

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            self.failures += 1
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self.failures += 1
