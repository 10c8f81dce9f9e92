"""Logs: ids for machines and people, content for nobody."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from api.http.server import server_of
from core.logs import get_logger, set_up


@pytest.fixture(autouse=True)
def loggers_as_in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every server that another test made has cut uvicorn's logger of requests off."""
    requests = logging.getLogger("uvicorn.access")
    monkeypatch.setattr(requests, "propagate", True)
    monkeypatch.setattr(requests, "handlers", [])


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_who_where_and_what() -> None:
    out = io.StringIO()
    logger = get_logger("ledger")  # made before the set-up, as modules do
    set_up(process="controller", form="json", stream=out)
    logger.info("the store is back", node="node_1", spooled=7)
    (said,) = lines(out)
    assert said.pop("timestamp").endswith("Z")
    assert said == {
        "event": "the store is back",
        "level": "info",
        "process": "controller",
        "room": "ledger",
        "node": "node_1",
        "spooled": 7,
    }


@pytest.mark.parametrize("form", ["json", "console"])
def test_content_never_reaches_a_log(form: str) -> None:
    out = io.StringIO()
    set_up(process="api", form=form, stream=out)
    get_logger("x").warning(
        "odd", caller="+4930123456", password="hush", url="http://u:hush@h", digits="1234#"
    )
    try:
        number = "+4930123456"
        raise ValueError("without it")
    except ValueError:
        get_logger("x").exception("failed", call="call_1")
    assert number not in out.getvalue()
    assert "hush" not in out.getvalue()
    assert "1234#" not in out.getvalue()
    assert "call_1" in out.getvalue()
    assert "ValueError: without it" in out.getvalue()


def test_libraries_speak_through_the_same_renderer() -> None:
    out = io.StringIO()
    set_up(process="api", form="json", stream=out)
    logging.getLogger("library").info("started on %s", "a socket")
    assert [(said["event"], said["level"], said["process"]) for said in lines(out)] == [
        ("started on a socket", "info", "api")
    ]


@pytest.mark.parametrize("level", ["debug", "info", "error"])
def test_talkative_libraries_are_heard_when_something_is_wrong(level: str) -> None:
    out = io.StringIO()
    set_up(process="api", level=level, form="json", stream=out)
    for name in ("botocore", "uvicorn.error", "uvicorn.access", "alembic.runtime.migration"):
        logging.getLogger(name).info("noise")
        logging.getLogger(name).warning("odd")
        logging.getLogger(name).error("wrong")
    said = [one["event"] for one in lines(out)]
    assert said == (["wrong"] if level == "error" else ["odd", "wrong"]) * 4


class _Application:
    def drain(self) -> None:
        """Not reached: nothing is served."""


def test_making_a_server_changes_no_logger() -> None:
    set_up(process="api", level="info", form="json", stream=io.StringIO())
    names = ("", "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
    before = [(logging.getLogger(name).level, logging.getLogger(name).handlers[:]) for name in names]
    server_of(_Application())
    assert [(logging.getLogger(name).level, logging.getLogger(name).handlers[:]) for name in names] == before


def test_the_level_holds_for_us_and_for_libraries() -> None:
    out = io.StringIO()
    set_up(process="api", level="warning", form="json", stream=out)
    get_logger("x").info("no")
    logging.getLogger("other").info("no")
    get_logger("x").warning("yes")
    assert [said["event"] for said in lines(out)] == ["yes"]


def test_a_value_without_json_costs_nothing_but_its_beauty() -> None:
    out = io.StringIO()
    set_up(process="api", form="json", stream=out)
    get_logger("x").info("odd", value=object(), name="\ud800", big=2**70)
    assert len(lines(out)) == 1


def test_output_that_is_no_terminal_is_json() -> None:
    out = io.StringIO()
    set_up(process="api", stream=out)
    get_logger("x").info("hello")
    assert lines(out)[0]["event"] == "hello"


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_log_that_cannot_be_written_stops_nobody(form: str) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    set_up(process="api", form=form, stream=Full())
    get_logger("x").info("hello")
    logging.getLogger("library").warning("hello")
