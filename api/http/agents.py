"""Agents: who takes calls and conversations, whether they are there, and what they can do."""

import csv
import io
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.answer import Answer, encode, json_answer
from api.http.ask import Ask
from api.http.lists import rows_answer, versioned
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.problem import bad_value
from api.http.query import Filter, text_param
from api.http.shapes import Body, Email, Name, RoleId
from core.access import people
from core.errors import IrisxError, NotAllowed, NotFound
from core.model.capacity import CAPACITY, Load
from core.model.queueing_records import Agent, AgentState, Level, SkillName
from core.storage import access_users, agent_admin
from core.storage import agents as store
from core.storage.access_users import User
from core.storage.agent_admin import NewAgent
from core.storage.queues import list_queues

agents = Group("agents", "Who takes work: state, skills, capacity, queues.")

AGENT = Path("agent_id", "The agent's id: `agt_…`.")
Extension = Annotated[
    str, Meta(pattern=whole(r"([0-9]{2,8})?"), description="Digits by which colleagues dial.")
]
QueueId = Annotated[str, Meta(pattern=whole(r"que_[0-9a-z]{1,40}"))]
Tier = Annotated[int, Meta(ge=1, le=9)]
SkillLevels = Annotated[dict[SkillName, Level], Meta(max_length=50)]
QueueTiers = Annotated[dict[QueueId, Tier], Meta(max_length=200)]
Reason = Annotated[str, Meta(max_length=200, pattern=whole(r"[^\x00-\x1f\x7f]*"))]
MAX_ROWS = 500


class NewUserAgent(Body):
    """Somebody who takes work: a new person (``email``), or one who can sign in already (``user_id``)."""

    name: Name
    email: Email | None = None
    user_id: Annotated[str, Meta(pattern=whole(r"usr_[0-9a-z]{1,40}"))] | None = None
    roles: Annotated[list[RoleId], Meta(max_length=20)] = msgspec.field(default_factory=lambda: ["agent"])
    """Of a new person."""
    extension: Extension = ""
    skills: SkillLevels = msgspec.field(default_factory=dict)
    """Skills that there are (`/v1/skills`), 1 to 5 each."""
    queues: QueueTiers = msgspec.field(default_factory=dict)
    """Queues by id, each with a tier: lower ones are asked first."""
    capacity: Load = CAPACITY


class AgentChange(Body):
    name: Name | UnsetType = UNSET
    extension: Extension | UnsetType = UNSET
    skills: SkillLevels | UnsetType = UNSET
    """All of them."""
    queues: QueueTiers | UnsetType = UNSET
    """All of them."""
    capacity: Load | UnsetType = UNSET


class CreatedAgent(Struct):
    agent: Agent
    user: User | None
    """The person who was made with it; null for one who was there."""
    password: str | None
    """Of a new person: made up, and told once."""


class AgentImport(Body):
    csv: Annotated[str, Meta(min_length=1, max_length=250_000, pattern=whole(r"[^\x00]*"))]
    """Columns `name`, `email`, and if you like `extension`, `roles`, `skills` (`german:3 billing:1`), `queues` (names or
    ids, separated by `;`). At most 500 rows."""
    dry_run: bool = False
    """Only look: nothing is made."""


class ImportedAgent(Struct):
    row: int
    """Its line in the file; the heading is line 1."""
    agent_id: str
    email: str
    password: str | None


class RejectedRow(Struct):
    row: int
    code: str
    detail: str


class AgentsImported(Struct):
    created: list[ImportedAgent]
    rejected: list[RejectedRow]


class StateChange(Body):
    state: AgentState
    reason: Reason = ""


class AgentPhase(Struct):
    """A state that an agent chose."""

    id: str
    at_us: int
    state: AgentState
    reason: str
    actor: str
    """Who set it, if not the agent's own page."""


FILTERS = (
    Filter("state", "word", ("offline", "ready", "not_ready")),
    Filter("user_id"),
    Filter("extension"),
    Filter("name"),
)
QUEUE = text_param("queue", "Only agents of this queue, by its id.")


@agents.operation(
    "GET",
    "/agents",
    permission="agents:read",
    summary="List agents, newest first",
    answers=Agent,
    listing=True,
    params=[QUEUE],
    filters=FILTERS,
)
async def list_agents(ask: Ask[None]) -> Answer:
    """With what each is at just now."""
    rows = await agent_admin.list_agents(
        ask.services.database,
        ask.tenant_id,
        ask.query.conditions,
        queue_id=ask.value("queue", ""),
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return rows_answer(ask, rows, lambda one: (one.created_us, one.id))


@agents.operation(
    "POST",
    "/agents",
    permission="agents:write",
    summary="Make an agent",
    body=NewUserAgent,
    answers=CreatedAgent,
    status=201,
    problems=[404, 409],
)
async def create_agent(ask: Ask[NewUserAgent]) -> Answer:
    """Person, role, skills, queues in one request. A new person needs `users:write`, and gets a password that is told once."""
    made = await _make(ask, ask.body)
    answer = json_answer(made, 201, etag=str(made.agent.version))
    answer.kept = encode(CreatedAgent(made.agent, made.user, None))
    answer.headers = [(b"location", f"/v1/agents/{made.agent.id}".encode())]
    return answer


@agents.operation(
    "POST",
    "/agents/import",
    permission="agents:write",
    summary="Make many agents from a file",
    body=AgentImport,
    answers=AgentsImported,
    problems=[403],
)
async def import_agents(ask: Ask[AgentImport]) -> Answer:
    """Each row by itself: those that cannot be are told with their reasons, and the others are made."""
    rows = _rows(ask.body.csv)
    _need_users(ask)
    queues = await _queues_by_name(ask)
    created, rejected = [], []
    for number, row in rows:
        try:
            wanted = _wanted(row, queues)
            if ask.body.dry_run:
                created.append(ImportedAgent(number, "", wanted.email or "", None))
            else:
                made = await _make(ask, wanted)
                created.append(ImportedAgent(number, made.agent.id, wanted.email or "", made.password))
        except IrisxError as exc:
            rejected.append(RejectedRow(number, exc.code, exc.detail))
    answer = json_answer(AgentsImported(created, rejected))
    untold = [ImportedAgent(one.row, one.agent_id, one.email, None) for one in created]
    answer.kept = encode(AgentsImported(untold, rejected))
    return answer


@agents.operation(
    "GET",
    "/agents/me",
    permission="agents:work",
    summary="The agent that one is",
    answers=Agent,
    problems=[404],
    etag=True,
)
async def get_own_agent(ask: Ask[None]) -> Answer:
    """404 `no_agent` for somebody who is none."""
    found = await store.agent_of_user(ask.services.database, ask.tenant_id, ask.actor.id)
    if found is None:
        raise NotFound("you are no agent here", code="no_agent")
    return versioned(ask, found)


@agents.operation(
    "GET",
    "/agents/{agent_id}",
    permission="agents:read",
    summary="One agent",
    answers=Agent,
    paths=[AGENT],
    problems=[404],
    etag=True,
)
async def get_agent(ask: Ask[None]) -> Answer:
    """With what they are at just now."""
    return versioned(ask, await store.get_agent(ask.services.database, ask.tenant_id, ask.path["agent_id"]))


@agents.operation(
    "PATCH",
    "/agents/{agent_id}",
    permission="agents:write",
    summary="Change an agent",
    body=AgentChange,
    answers=Agent,
    paths=[AGENT],
    problems=[404, 409],
    etag=True,
    if_match=True,
)
async def update_agent(ask: Ask[AgentChange]) -> Answer:
    """What is under way goes on; what is offered next follows the change."""
    body = ask.body
    agent = await agent_admin.update_agent(
        ask.services.database,
        ask.tenant_id,
        ask.path["agent_id"],
        name=None if body.name is UNSET else body.name,
        extension=None if body.extension is UNSET else body.extension,
        skills=None if body.skills is UNSET else body.skills,
        capacity=None if body.capacity is UNSET else body.capacity,
        queues=None if body.queues is UNSET else body.queues,
        version=ask.if_match,
        request_id=ask.request_id,
    )
    return versioned(ask, agent)


@agents.operation(
    "DELETE",
    "/agents/{agent_id}",
    permission="agents:write",
    summary="Remove an agent",
    paths=[AGENT],
    problems=[404, 409],
    if_match=True,
)
async def delete_agent(ask: Ask[None]) -> Answer:
    """They can still sign in. 409 while they have a call or a number leads to them."""
    await agent_admin.delete_agent(
        ask.services.database,
        ask.tenant_id,
        ask.path["agent_id"],
        version=ask.if_match,
        request_id=ask.request_id,
    )
    return Answer(204)


@agents.operation(
    "PUT",
    "/agents/{agent_id}/state",
    permission="agents:work",
    summary="Set an agent's state",
    body=StateChange,
    answers=Agent,
    paths=[AGENT],
    problems=[404, 409],
)
async def set_agent_state(ask: Ask[StateChange]) -> Answer:
    """Others' states need `agents:write`. Calls are offered only while a page is connected; conversations to whoever is ready."""
    agent_id = ask.path["agent_id"]
    await own_or_managed(ask, agent_id)
    agent = await store.set_state(
        ask.services.database,
        ask.tenant_id,
        agent_id,
        ask.body.state,
        reason=ask.body.reason,
        actor=ask.actor.id,
    )
    return versioned(ask, agent)


@agents.operation(
    "GET",
    "/agents/{agent_id}/timeline",
    permission="agents:read",
    summary="The states that an agent chose, newest first",
    answers=AgentPhase,
    listing=True,
    paths=[AGENT],
    problems=[404],
)
async def list_agent_timeline(ask: Ask[None]) -> Answer:
    """Each with its reason, and who set it."""
    agent_id = ask.path["agent_id"]
    await store.get_agent(ask.services.database, ask.tenant_id, agent_id)
    rows = await agent_admin.timeline_of(
        ask.services.database,
        ask.tenant_id,
        agent_id,
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    phases = [AgentPhase(**row) for row in rows]
    return rows_answer(ask, phases, lambda one: (one.at_us, one.id))


async def own_or_managed(ask: Ask[Any], agent_id: str) -> Agent:
    """An agent whom the actor is, or may act for. Raises `NotFound`, `NotAllowed`."""
    agent = await store.get_agent(ask.services.database, ask.tenant_id, agent_id)
    if agent.user_id != ask.actor.id and "agents:write" not in ask.actor.permissions:
        raise NotAllowed("this is another agent: it needs agents:write")
    return agent


def _need_users(ask: Ask[Any]) -> None:
    if "users:write" not in ask.actor.permissions:
        raise NotAllowed("new people need users:write")


async def _make(ask: Ask[Any], wanted: NewUserAgent) -> CreatedAgent:
    if (wanted.email is None) == (wanted.user_id is None):
        raise bad_value("/email", "give either `email` (a new person) or `user_id`")
    chosen = None
    if wanted.email is not None:
        _need_users(ask)
        chosen = await people.choose_password(ask.services.access.passwords, None, email=wanted.email)
    user: User | None = None
    async with ask.services.database.tenant(ask.tenant_id) as connection:
        user_id = wanted.user_id or ""
        if wanted.email is not None and chosen is not None:
            user = await people.create_user(
                connection,
                ask.actor,
                ask.tenant_id,
                email=wanted.email,
                name=wanted.name,
                role_ids=wanted.roles,
                password=chosen,
            )
            user_id = user.id
        elif await access_users.lock_user(connection, user_id) is None:
            raise NotFound(f"there is no user {user_id}", code="no_such_user")
        agent = await agent_admin.insert_agent(
            connection,
            ask.tenant_id,
            NewAgent(
                user_id=user_id,
                name=wanted.name,
                extension=wanted.extension,
                skills=wanted.skills,
                capacity=wanted.capacity,
                queues=wanted.queues,
            ),
            request_id=ask.request_id,
        )
    return CreatedAgent(agent, user, chosen.told if chosen is not None else None)


def _rows(text: str) -> list[tuple[int, dict[str, str]]]:
    """The rows of a file with their lines. Raises `Invalid`."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        rows = []
        for row in reader:
            rows.append(
                (reader.line_num, {str(k).strip().lower(): str(v or "").strip() for k, v in row.items()})
            )
            if len(rows) > MAX_ROWS:
                raise bad_value("/csv", f"more than {MAX_ROWS} rows")
    except csv.Error as exc:
        raise bad_value("/csv", f"line {reader.line_num}: {exc}") from exc
    if not {"name", "email"} <= {str(one).strip().lower() for one in reader.fieldnames or ()}:
        raise bad_value("/csv", "the heading must have the columns name and email")
    return rows


async def _queues_by_name(ask: Ask[Any]) -> dict[str, str]:
    found = await list_queues(ask.services.database, ask.tenant_id)
    return {key: one.id for one in found for key in (one.id, one.name.lower())}


def _wanted(row: dict[str, str], queues: dict[str, str]) -> NewUserAgent:
    """A row as a request. Raises `Invalid`."""
    skills: dict[str, Any] = {}
    for part in row.get("skills", "").split():
        name, _, level = part.partition(":")
        skills[name] = int(level) if level.isascii() and level.isdigit() and len(level) < 3 else level or 1
    wanted_queues: dict[str, int] = {}
    for name in filter(None, (one.strip() for one in row.get("queues", "").split(";"))):
        if name.lower() not in queues:
            raise bad_value("/queues", f"there is no queue {name[:80]}")
        wanted_queues[queues[name.lower()]] = 1
    members: dict[str, Any] = {
        "name": row.get("name", ""),
        "email": row.get("email", ""),
        "extension": row.get("extension", ""),
        "skills": skills,
        "queues": wanted_queues,
    }
    if row.get("roles"):
        members["roles"] = row["roles"].split()
    try:
        return msgspec.convert(members, NewUserAgent)
    except msgspec.ValidationError as exc:
        raise bad_value("/csv", str(exc)[:200]) from exc
