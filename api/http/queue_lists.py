"""Skills, dispositions and inbound routes: short lists that queues and agents refer to."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.answer import Answer
from api.http.ask import Ask
from api.http.lists import rows_answer, versioned
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.problem import bad_value
from api.http.shapes import Body, Name, Text
from core.model.queueing_records import Level, SkillName
from core.storage.queue_lists import DISPOSITIONS, ROUTES, SKILLS, Disposition, Kept, Skill
from core.storage.queue_routes import Route

skills = Group("skills", "What agents are able to do.")
dispositions = Group("dispositions", "What a talk can have come to.")
inbound_routes = Group("inbound-routes", "Which number leads to which queue or agent.")

QueueId = Annotated[str, Meta(pattern=whole(r"(que_[0-9a-z]{1,40})?"))]
AgentId = Annotated[str, Meta(pattern=whole(r"(agt_[0-9a-z]{1,40})?"))]
OneQueue = Annotated[str, Meta(pattern=whole(r"que_[0-9a-z]{1,40}"))]
Number = Annotated[
    str,
    Meta(
        pattern=whole(r"\+?[0-9*#]{1,32}"),
        description="As carriers send it; a leading `+` makes no difference.",
    ),
]
Position = Annotated[int, Meta(ge=-1000, le=1000)]
Priority = Annotated[float, Meta(ge=-1000, le=1000)]
SkillLevels = Annotated[dict[SkillName, Level], Meta(max_length=50)]


class NewSkill(Body):
    name: SkillName
    """Small letters, digits, dots, dashes: it is what agents and queues refer to, and stays."""
    description: Text = ""


class SkillChange(Body):
    description: Text | UnsetType = UNSET


class NewDisposition(Body):
    name: Name
    queue_ids: Annotated[list[OneQueue], Meta(max_length=200)] = msgspec.field(default_factory=list)
    """Of which queues; none: of all."""
    position: Position = 0
    active: bool = True


class DispositionChange(Body):
    name: Name | UnsetType = UNSET
    queue_ids: Annotated[list[OneQueue], Meta(max_length=200)] | UnsetType = UNSET
    position: Position | UnsetType = UNSET
    active: bool | UnsetType = UNSET


class NewInboundRoute(Body):
    """A number, or with `prefix` the beginning of numbers, leads to a queue or to an agent: name one of the two."""

    number: Number
    prefix: bool = False
    queue_id: QueueId = ""
    agent_id: AgentId = ""
    priority: Priority = 0.0
    """Added to the rank of who calls it: 1 is worth one target of waiting."""
    skills: SkillLevels = msgspec.field(default_factory=dict)
    """Needed beside what the queue needs."""
    enabled: bool = True


class InboundRouteChange(Body):
    queue_id: QueueId | UnsetType = UNSET
    agent_id: AgentId | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    skills: SkillLevels | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


def _declare(
    group: Group,
    kept: Kept[Any],
    *,
    path: str,
    noun: str,
    nouns: str,
    param: str,
    prefix: str,
    new: type[Struct],
    change: type[Struct],
    info: type[Struct],
    read: str,
    write: str,
    about: str,
) -> None:
    """The five operations of a list."""
    where = Path(param, f"The {noun}'s id: `{prefix}_…`.")
    one = f"{path}/{{{param}}}"
    single, many = noun.replace(" ", "_"), nouns.replace(" ", "_")

    def named(handler: Any, called: str, says: str) -> Any:
        handler.__name__, handler.__doc__ = called, says
        return handler

    async def list_(ask: Ask[None]) -> Answer:
        rows = await kept.all(ask.services.database, ask.tenant_id)
        after = ask.query.page.after
        found = [row for row in rows if after is None or (row.created_us, row.id) < after]
        return rows_answer(ask, found[: ask.query.page.limit + 1], lambda row: (row.created_us, row.id))

    async def create(ask: Ask[Any]) -> Answer:
        given = _checked({name: getattr(ask.body, name) for name in ask.body.__struct_fields__}, new=True)
        row = await kept.create(ask.services.database, ask.tenant_id, given, request_id=ask.request_id)
        answer = versioned(ask, row, 201)
        answer.headers = [*answer.headers, (b"location", f"/v1{path}/{row.id}".encode())]
        return answer

    async def get(ask: Ask[None]) -> Answer:
        return versioned(ask, await kept.get(ask.services.database, ask.tenant_id, ask.path[param]))

    async def update(ask: Ask[Any]) -> Answer:
        given = {
            name: value
            for name in ask.body.__struct_fields__
            if (value := getattr(ask.body, name)) is not UNSET
        }
        row = await kept.update(
            ask.services.database,
            ask.tenant_id,
            ask.path[param],
            _checked(given, new=False),
            version=ask.if_match,
            request_id=ask.request_id,
        )
        return versioned(ask, row)

    async def delete(ask: Ask[None]) -> Answer:
        await kept.delete(
            ask.services.database,
            ask.tenant_id,
            ask.path[param],
            version=ask.if_match,
            request_id=ask.request_id,
        )
        return Answer(204)

    group.operation(
        "GET", path, permission=read, summary=f"List {nouns}, newest first", answers=info, listing=True
    )(named(list_, f"list_{many}", about))  # fmt: skip
    group.operation(
        "POST", path, permission=write, summary=f"Create {_a(noun)}", body=new, answers=info, status=201, problems=[409],
        etag=True,
    )(named(create, f"create_{single}", "409 `name_taken` when there is one like it."))  # fmt: skip
    group.operation(
        "GET", one, permission=read, summary=f"One {noun}", answers=info, paths=[where], problems=[404], etag=True
    )(named(get, f"get_{single}", "With its version, which a change may name."))  # fmt: skip
    group.operation(
        "PATCH", one, permission=write, summary=f"Change {_a(noun)}", body=change, answers=info, paths=[where],
        problems=[404, 409], etag=True, if_match=True,
    )(named(update, f"update_{single}", "What is not given stays."))  # fmt: skip
    group.operation(
        "DELETE", one, permission=write, summary=f"Delete {_a(noun)}", paths=[where], problems=[404, 409], if_match=True
    )(named(delete, f"delete_{single}", "409 `in_use` while something needs it."))  # fmt: skip


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _checked(given: dict[str, Any], *, new: bool) -> dict[str, Any]:
    """A route leads to one of both; naming one in a change leaves the other."""
    if "queue_id" not in given and "agent_id" not in given:
        return given
    to_queue, to_agent = given.get("queue_id", ""), given.get("agent_id", "")
    if bool(to_queue) == bool(to_agent):
        raise bad_value("/queue_id", "name either a queue or an agent")
    return given if new else {**given, "queue_id": to_queue, "agent_id": to_agent}


_declare(
    skills,
    SKILLS,
    path="/skills",
    noun="skill",
    nouns="skills",
    param="skill_id",
    prefix="skl",
    new=NewSkill,
    change=SkillChange,
    info=Skill,
    read="agents:read",
    write="agents:write",
    about="What agents have in levels from 1 to 5, and queues need.",
)
_declare(
    dispositions,
    DISPOSITIONS,
    path="/dispositions",
    noun="disposition",
    nouns="dispositions",
    param="disposition_id",
    prefix="dsp",
    new=NewDisposition,
    change=DispositionChange,
    info=Disposition,
    read="queues:read",
    write="queues:write",
    about="What agents choose from when they write down what a talk came to.",
)
_declare(
    inbound_routes,
    ROUTES,
    path="/inbound-routes",
    noun="inbound route",
    nouns="inbound routes",
    param="inbound_route_id",
    prefix="rte",
    new=NewInboundRoute,
    change=InboundRouteChange,
    info=Route,
    read="queues:read",
    write="queues:write",
    about="A number's own route comes first, else that of its longest beginning. A number without any is nobody's.",
)
