"""Plugins: what is installed in this process, and whether a channel keeps its promises."""

from typing import Any

from msgspec import Struct

from api.http.answer import Answer
from api.http.ask import Ask
from api.http.lists import rows_answer
from api.http.operation import Group, Path
from api.http.system import Job
from core.errors import NotFound
from core.plugin_checks import KIND
from core.storage import jobs
from irisx_sdk.loading import Plugin

plugins = Group("channels")

TYPE = Path("channel_type", "A channel's name: `sms.twilio`.")
OPEN = ("queued", "running")


class PluginInfo(Struct):
    """One entry point of the group `irisx`."""

    name: str
    distribution: str
    version: str
    channels: list[str]
    problem: str
    """Why it was left out, for people; empty when it works."""


@plugins.operation(
    "GET",
    "/plugins",
    permission="channels:read",
    summary="List the plugins that are installed",
    answers=PluginInfo,
    listing=True,
)
async def list_plugins(ask: Ask[None]) -> Answer:
    """As this process found them when it started; one that could not be loaded says why."""
    known = sorted(ask.services.plugins, key=_place, reverse=True)
    after = ask.query.page.after
    found = [
        PluginInfo(one.name, one.distribution, one.version, [each.name for each in one.channels], one.problem)
        for one in known
        if after is None or _place(one) < after[1]
    ]
    return rows_answer(ask, found[: ask.query.page.limit + 1], lambda one: (0, _place(one)))


@plugins.operation(
    "POST",
    "/channel-types/{channel_type}/conformance",
    permission="channels:write",
    summary="Check a channel against its fake provider on a bad day",
    answers=Job,
    status=202,
    paths=[TYPE],
    problems=[404],
)
async def check_channel_type(ask: Ask[None]) -> Answer:
    """The same as `irisx plugin check`, as a job. One that runs already is answered with."""
    name = _known(ask)
    database, tenant_id = ask.services.database, ask.tenant_id
    running = await jobs.newest_json(database, tenant_id, kind=KIND, subject=name, states=OPEN)
    if running is not None:
        return Answer(202, running)
    job_id = await jobs.create_job(
        database, tenant_id, kind=KIND, subject=name, created_by=ask.actor.id, request_id=ask.request_id
    )
    made = await jobs.get_job_json(database, tenant_id, job_id)
    assert made is not None  # noqa: S101 - it was just made
    return Answer(202, made)


@plugins.operation(
    "GET",
    "/channel-types/{channel_type}/conformance",
    permission="channels:read",
    summary="The newest check of a channel",
    answers=Job,
    paths=[TYPE],
    problems=[404],
)
async def get_conformance(ask: Ask[None]) -> Answer:
    """Its `result` has the checks; 404 `never_checked` before the first one."""
    name = _known(ask)
    found = await jobs.newest_json(ask.services.database, ask.tenant_id, kind=KIND, subject=name)
    if found is None:
        raise NotFound(f"{name} was never checked", code="never_checked")
    return Answer(200, found)


def _place(one: Plugin | PluginInfo) -> str:
    return f"{one.distribution}:{one.name}"


def _known(ask: Ask[Any]) -> str:
    name = ask.path["channel_type"]
    if name not in ask.services.channels.known:
        raise NotFound("there is no such channel", code="no_such_channel_type")
    return name
