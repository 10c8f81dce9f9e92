"""Conferences: rooms in which any number of legs hear each other. A room exists while somebody is in it."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from api.http import orders
from api.http.answer import Answer, encode, json_answer
from api.http.ask import Ask
from api.http.call_actions import ACTS, Uuid
from api.http.calls import CallerName, From, NodeId
from api.http.lists import one_answer, page_answer
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.problem import bad_value
from api.http.query import Condition, Filter, bool_param
from api.http.shapes import Body, PhoneOrTarget
from core.errors import Conflict, NotFound
from core.model.orders import Outcome
from core.storage import conferences as conference_store

conferences = Group("conferences", "Rooms and who is in them.")

CONFERENCE = Path("conference_id", "The conference's id: `conf_…`.")
MEMBER = Path("member", "A member, by its leg's UUID.", r"[0-9A-Za-z_.-]{1,128}")
Room = Annotated[str, Meta(pattern=whole(r"[A-Za-z0-9_.-]{1,64}"), description="The room's name.")]
CallId = Annotated[str, Meta(pattern=whole(r"call_[0-9a-z]{1,40}"))]


class Participant(Struct):
    """One leg in a room."""

    id: str
    """Its number there."""
    leg: str
    caller: str
    caller_name: str
    destination: str
    direction: str
    muted: bool


class ConferenceInfo(Struct):
    """One meeting in a room."""

    id: str
    name: str
    """As the switch knows it: the tenant's id, a dot, the room's name."""
    node: str
    call_id: str
    """The call that its members are part of."""
    live: bool
    created_us: int
    ended_us: int
    members: list[Participant]
    """Those who are in it now."""


class ParticipantList(Struct):
    data: list[Participant]


class Join(Body):
    """Who comes in: a live call (`call_id`, or one `leg` of it) or somebody to be called (`to`)."""

    call_id: CallId | None = None
    leg: Uuid | None = None
    to: PhoneOrTarget | None = None
    from_: From | None = msgspec.field(name="from", default=None)
    """For `to`: the number to show."""
    caller_name: CallerName | None = None


class NewConference(Body):
    """A room opens with its first member."""

    name: Room
    call_id: CallId | None = None
    leg: Uuid | None = None
    to: PhoneOrTarget | None = None
    from_: From | None = msgspec.field(name="from", default=None)
    """For `to`: the number to show."""
    caller_name: CallerName | None = None
    node: NodeId | None = None
    """For `to`: the switch to use; a call decides by itself."""


class MemberChange(Body):
    muted: bool


class ConferenceOutcome(Struct):
    """What came of it: the conference after it (null while the store does not show it) and what was found out."""

    conference: ConferenceInfo | None
    result: dict[str, Any]


FILTERS = (Filter("name"), Filter("node"), Filter("created_us", "integer"))


@conferences.operation(
    "GET",
    "/conferences",
    permission="conferences:read",
    summary="List conferences, newest first",
    answers=ConferenceInfo,
    listing=True,
    filters=FILTERS,
    params=[
        bool_param("live", "true (unless you say otherwise): only those that go on; false: only ended ones")
    ],
)
async def list_conferences(ask: Ask[None]) -> Answer:
    """Those that go on, by default."""
    page = await conference_store.list_conferences_json(
        ask.services.database,
        ask.tenant_id,
        live=ask.value("live", True),
        conditions=ask.query.conditions,
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)


@conferences.operation(
    "POST",
    "/conferences",
    permission="conferences:control",
    summary="Open a conference",
    body=NewConference,
    answers=ConferenceOutcome,
    status=201,
    problems=ACTS,
    bucket="calls",
    idempotency="required",
)
async def create_conference(ask: Ask[NewConference]) -> Answer:
    """Bring a first member into a room. A room of that name that exists already gains a member."""
    answer = await _add(ask, ask.body.name, ask.body, ask.body.node)
    answer.status = 201
    return answer


@conferences.operation(
    "GET",
    "/conferences/{conference_id}",
    permission="conferences:read",
    summary="One conference with its members",
    answers=ConferenceInfo,
    paths=[CONFERENCE],
    problems=[404],
    etag=True,
)
async def get_conference(ask: Ask[None]) -> Answer:
    """Also when it has ended."""
    return one_answer(ask, await _read(ask))


@conferences.operation(
    "DELETE",
    "/conferences/{conference_id}",
    permission="conferences:control",
    summary="End a conference",
    answers=ConferenceOutcome,
    paths=[CONFERENCE],
    problems=ACTS,
    bucket="calls",
)
async def end_conference(ask: Ask[None]) -> Answer:
    """Everybody leaves."""
    return await _order(ask, "conference.end", {})


@conferences.operation(
    "GET",
    "/conferences/{conference_id}/participants",
    permission="conferences:read",
    summary="Who is in a conference",
    answers=ParticipantList,
    paths=[CONFERENCE],
    problems=[404],
)
async def list_participants(ask: Ask[None]) -> Answer:
    """In the order in which they came."""
    return json_answer({"data": (await _decoded(ask)).members})


@conferences.operation(
    "POST",
    "/conferences/{conference_id}/participants",
    permission="conferences:control",
    summary="Bring somebody in",
    body=Join,
    answers=ConferenceOutcome,
    status=201,
    paths=[CONFERENCE],
    problems=ACTS,
    bucket="calls",
    idempotency="required",
)
async def add_participant(ask: Ask[Join]) -> Answer:
    """A live call, or somebody who is called for it."""
    conference = await _decoded(ask)
    answer = await _add(ask, room_of(ask, conference.name), ask.body, conference.node)
    answer.status = 201
    return answer


@conferences.operation(
    "PATCH",
    "/conferences/{conference_id}/participants/{member}",
    permission="conferences:control",
    summary="Mute or unmute a member",
    body=MemberChange,
    answers=ConferenceOutcome,
    paths=[CONFERENCE, MEMBER],
    problems=ACTS,
    bucket="calls",
)
async def update_participant(ask: Ask[MemberChange]) -> Answer:
    """The room hears them, or does not."""
    action = "conference.mute" if ask.body.muted else "conference.unmute"
    return await _order(ask, action, {"member": ask.path["member"]})


@conferences.operation(
    "DELETE",
    "/conferences/{conference_id}/participants/{member}",
    permission="conferences:control",
    summary="Remove a member",
    answers=ConferenceOutcome,
    paths=[CONFERENCE, MEMBER],
    problems=ACTS,
    bucket="calls",
)
async def remove_participant(ask: Ask[None]) -> Answer:
    """Their call ends."""
    return await _order(ask, "conference.kick", {"member": ask.path["member"]})


def room_of(ask: Ask[Any], name: str) -> str:
    """The room's name without the tenant that the switch knows it under."""
    return name.removeprefix(ask.tenant_id + ".")


async def _read(ask: Ask[Any]) -> bytes:
    body = await conference_store.get_conference_json(
        ask.services.database, ask.tenant_id, ask.path["conference_id"]
    )
    if body is None:
        raise NotFound(f"there is no conference {ask.path['conference_id']}", code="no_such_conference")
    return body


async def _decoded(ask: Ask[Any]) -> ConferenceInfo:
    return msgspec.json.decode(await _read(ask), type=ConferenceInfo)


async def _order(ask: Ask[Any], action: str, args: orders.Args) -> Answer:
    found = await conference_store.find_conference(
        ask.services.database, ask.tenant_id, ask.path["conference_id"]
    )
    if found is None:
        raise NotFound(f"there is no conference {ask.path['conference_id']}", code="no_such_conference")
    node, name, live = found
    if not live:
        raise Conflict("the conference has ended", code="conference_ended")
    outcome = await orders.carry_out(ask, action, node=node, args={"conference": room_of(ask, name), **args})
    return Answer(200, _changed(await _read(ask), outcome))


async def _add(ask: Ask[Any], room: str, body: Join | NewConference, node: str | None) -> Answer:
    if (body.call_id is None) == (body.to is None):
        raise bad_value("/call_id", "give either call_id or to", code="missing")
    args: orders.Args = {"conference": room}
    if body.call_id is not None:
        where = await orders.node_of_call(ask, body.call_id)
        if body.leg is not None:
            args["leg"] = body.leg
    else:
        where = await orders.choose_node(ask, node)
        args["to"] = body.to
        if body.from_ is not None:
            args["from"] = body.from_
        if body.caller_name is not None:
            args["caller_name"] = body.caller_name
    outcome = await orders.carry_out(ask, "conference.add", node=where, args=args, call_id=body.call_id or "")
    page = await conference_store.list_conferences_json(
        ask.services.database,
        ask.tenant_id,
        live=True,
        conditions=[
            Condition("name", "eq", f"{ask.tenant_id}.{room}"),
            Condition("node", "eq", where),
        ],
        limit=1,
    )
    return Answer(200, _changed(page.data[1:-1] or b"null", outcome))


def _changed(conference: bytes, outcome: Outcome) -> bytes:
    result = {name: value for name, value in outcome.result.items() if name != "call"}
    return b'{"conference":' + conference + b',"result":' + encode(result) + b"}"
