"""Users of a tenant: people who can sign in."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.answer import Answer, encode, json_answer
from api.http.ask import Ask
from api.http.lists import rows_answer, versioned
from api.http.operation import Group, Path
from api.http.query import Filter
from api.http.shapes import Body, Email, Name, Password, RoleId
from core.access import people
from core.errors import NotFound
from core.storage import access_filters, access_sessions, access_users
from core.storage.access_sessions import Session
from core.storage.access_users import User

users = Group("users", "People of a tenant, their sessions, and the own profile.")

USER = Path("user_id", "The user's id: `usr_…`.")
SESSION = Path("session_id", "The session's id: `ses_…`.")
Roles = Annotated[list[RoleId], Meta(max_length=50)]


class NewUser(Body):
    email: Email
    name: Name
    roles: Roles
    """Built-in names (`admin`, `supervisor`, `agent`, `viewer`, `operator`) or ids of own roles."""
    password: Password | None = None
    """Without it one is made up, and told once in the answer."""


class CreatedUser(Struct):
    user: User
    password: str | None
    """The password that was made up; it is not shown again."""


class UserChange(Body):
    name: Name | UnsetType = UNSET
    email: Email | UnsetType = UNSET
    roles: Roles | UnsetType = UNSET
    state: Literal["active", "deactivated"] | UnsetType = UNSET


class PasswordReset(Body):
    password: Password | None = None


class PasswordTold(Struct):
    password: str | None
    """The password that was made up; it is not shown again."""


class SessionList(Struct):
    data: list[Session]


FILTERS = (
    Filter("email"),
    Filter("name"),
    Filter("state", "word", ("active", "deactivated")),
    Filter("roles", "set"),
    Filter("created_at", "time"),
)
_COLUMNS = {
    "email": "email",
    "name": "name",
    "state": "state",
    "roles[]": "roles",
    "created_at": "created_at",
}


@users.operation(
    "GET",
    "/users",
    permission="users:read",
    summary="List users, newest first",
    answers=User,
    listing=True,
    filters=FILTERS,
)
async def list_users(ask: Ask[None]) -> Answer:
    """`roles[eq]=admin` finds everybody who has the role."""
    values: list[object] = []
    where = access_filters.where(ask.query.conditions, _COLUMNS, values)
    where += access_filters.after(ask.query.page.after, values)
    async with ask.services.database.reader(ask.tenant_id) as conn:
        rows = await access_users.list_users(conn, where, values, ask.query.page.limit + 1)
    return rows_answer(ask, rows, lambda user: access_filters.place_of(user.created_at, user.id))


@users.operation(
    "POST",
    "/users",
    permission="users:write",
    summary="Create a user",
    body=NewUser,
    answers=CreatedUser,
    status=201,
    problems=[409],
)
async def create_user(ask: Ask[NewUser]) -> Answer:
    """Nobody can give rights they do not have themselves."""
    access = ask.services.access
    chosen = await people.choose_password(access.passwords, ask.body.password, email=ask.body.email)
    async with ask.services.database.tenant(ask.tenant_id) as conn:
        user = await people.create_user(
            conn,
            ask.actor,
            ask.tenant_id,
            email=ask.body.email,
            name=ask.body.name,
            role_ids=ask.body.roles,
            password=chosen,
        )
    answer = json_answer(CreatedUser(user, chosen.told), 201, etag=str(user.version))
    answer.kept = encode(CreatedUser(user, None))
    answer.headers = [(b"location", f"/v1/users/{user.id}".encode())]
    return answer


@users.operation(
    "GET",
    "/users/{user_id}",
    permission="users:read",
    summary="One user",
    answers=User,
    paths=[USER],
    problems=[404],
    etag=True,
)
async def get_user(ask: Ask[None]) -> Answer:
    """A user of this tenant."""
    async with ask.services.database.reader(ask.tenant_id) as conn:
        user = await access_users.get_user(conn, ask.path["user_id"])
    return versioned(ask, found(user, ask.path["user_id"]))


@users.operation(
    "PATCH",
    "/users/{user_id}",
    permission="users:write",
    summary="Change a user",
    body=UserChange,
    answers=User,
    paths=[USER],
    problems=[404, 409],
    etag=True,
    if_match=True,
)
async def update_user(ask: Ask[UserChange]) -> Answer:
    """What a change of roles forbids ends at once: sessions act with the new rights, keys beyond them are revoked."""
    body, user_id = ask.body, ask.path["user_id"]
    async with ask.services.database.tenant(ask.tenant_id) as conn:
        user, ended = await people.update_user(
            conn,
            ask.actor,
            ask.tenant_id,
            user_id,
            name=None if body.name is UNSET else body.name,
            email=None if body.email is UNSET else body.email,
            role_ids=None if body.roles is UNSET else body.roles,
            state=None if body.state is UNSET else body.state,
            if_match=ask.if_match,
        )
    for whom in (user_id, *ended):
        await ask.services.access.revoked(whom)
    return versioned(ask, user)


@users.operation(
    "DELETE",
    "/users/{user_id}",
    permission="users:write",
    summary="Delete a user",
    paths=[USER],
    problems=[404, 409],
    if_match=True,
)
async def delete_user(ask: Ask[None]) -> Answer:
    """Their sessions and keys end; their name stays where they acted."""
    user_id = ask.path["user_id"]
    async with ask.services.database.tenant(ask.tenant_id) as conn:
        ended = await people.remove_user(conn, ask.actor, user_id, if_match=ask.if_match)
    for whom in (user_id, *ended):
        await ask.services.access.revoked(whom)
    return Answer(204)


@users.operation(
    "POST",
    "/users/{user_id}/deactivate",
    permission="users:write",
    summary="Deactivate a user",
    answers=User,
    paths=[USER],
    problems=[404, 409],
    etag=True,
)
async def deactivate_user(ask: Ask[None]) -> Answer:
    """They are signed out everywhere and cannot sign in until `state` is `active` again."""
    user_id = ask.path["user_id"]
    async with ask.services.database.tenant(ask.tenant_id) as conn:
        user, _ = await people.update_user(conn, ask.actor, ask.tenant_id, user_id, state="deactivated")
    await ask.services.access.revoked(user_id)
    return versioned(ask, user)


@users.operation(
    "POST",
    "/users/{user_id}/password",
    permission="users:write",
    summary="Give a user a new password",
    body=PasswordReset,
    body_optional=True,
    answers=PasswordTold,
    paths=[USER],
    problems=[404, 409],
)
async def reset_user_password(ask: Ask[PasswordReset | None]) -> Answer:
    """All their sessions end. Without a password in the body one is made up and told once."""
    user_id = ask.path["user_id"]
    wanted = ask.body.password if ask.body is not None else None
    chosen = await people.choose_password(ask.services.access.passwords, wanted)
    async with ask.services.database.tenant(ask.tenant_id) as conn:
        await people.reset_password(conn, ask.actor, user_id, chosen)
    await ask.services.access.revoked(user_id)
    answer = json_answer(PasswordTold(chosen.told))
    answer.kept = encode(PasswordTold(None))
    return answer


@users.operation(
    "GET",
    "/users/{user_id}/sessions",
    permission="users:read",
    summary="A user's sessions",
    answers=SessionList,
    paths=[USER],
    problems=[404],
)
async def list_user_sessions(ask: Ask[None]) -> Answer:
    """Those that are in force, last used first."""
    user_id = ask.path["user_id"]
    async with ask.services.database.reader(ask.tenant_id) as conn:
        found(await access_users.get_user(conn, user_id), user_id)
        return json_answer(SessionList(await access_sessions.list_sessions(conn, user_id)))


@users.operation(
    "DELETE",
    "/users/{user_id}/sessions/{session_id}",
    permission="users:write",
    summary="End a user's session",
    paths=[USER, SESSION],
    problems=[404],
)
async def delete_user_session(ask: Ask[None]) -> Answer:
    """Its tokens stop working at once."""
    return await end_session(ask, ask.tenant_id, ask.path["user_id"])


async def end_session(ask: Ask[Any], tenant_id: str, user_id: str) -> Answer:
    session_id = ask.path["session_id"]
    async with ask.services.database.tenant(tenant_id) as conn:
        if user_id != ask.actor.id:
            await people.manageable(conn, ask.actor, user_id)
        if not await access_sessions.revoke_session(conn, session_id, user_id, "ended"):
            raise NotFound(f"there is no session {session_id}", code="no_such_session")
    await ask.services.access.revoked(session_id)
    return Answer(204)


def found(user: User | None, user_id: str) -> User:
    if user is None:
        raise NotFound(f"there is no user {user_id}", code="no_such_user")
    return user
