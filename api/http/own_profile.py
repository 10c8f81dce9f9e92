"""The own profile: what everybody who is signed in may see and change of themselves."""

from typing import Any

from msgspec import UNSET, UnsetType

from api.http.answer import Answer, encode, json_answer
from api.http.ask import Ask
from api.http.lists import versioned
from api.http.operation import SIGNED_IN, Group
from api.http.problem import Invalid
from api.http.shapes import Body, Name
from api.http.users import SESSION, SessionList, end_session, found
from core.access import people
from core.storage import access_sessions, access_users
from core.storage.access_users import User

own_profile = Group("users")

MAX_PREFERENCES = 32_768
"""Bytes of one person's preferences."""


class ProfileChange(Body):
    name: Name | UnsetType = UNSET


@own_profile.operation(
    "GET",
    "/users/me",
    permission=SIGNED_IN,
    summary="The own profile",
    answers=User,
    etag=True,
    problems=[404],
)
async def get_me(ask: Ask[None]) -> Answer:
    """For people; a key has no profile."""
    actor = ask.need_person()
    async with ask.services.database.reader(actor.tenant_id) as conn:
        return versioned(ask, found(await access_users.get_user(conn, actor.id), actor.id))


@own_profile.operation(
    "PATCH",
    "/users/me",
    permission=SIGNED_IN,
    summary="Change the own profile",
    body=ProfileChange,
    answers=User,
    etag=True,
    if_match=True,
    problems=[404],
)
async def update_me(ask: Ask[ProfileChange]) -> Answer:
    """Roles and the address are changed by those who manage users."""
    actor = ask.need_person()
    async with ask.services.database.tenant(actor.tenant_id) as conn:
        user = found(await access_users.lock_user(conn, actor.id), actor.id)
        people.check_version(user.version, ask.if_match)
        if ask.body.name is not UNSET:
            user = await access_users.update_user(conn, actor.id, name=ask.body.name)
    await ask.services.access.revoked(actor.id)
    return versioned(ask, user)


@own_profile.operation(
    "GET",
    "/users/me/preferences",
    permission=SIGNED_IN,
    summary="The own preferences",
    answers=dict[str, Any],
    trimmed=False,
)
async def get_my_preferences(ask: Ask[None]) -> Answer:
    """Whatever the pages keep for this person: shortcuts, saved views, the theme."""
    actor = ask.need_person()
    async with ask.services.database.reader(actor.tenant_id) as conn:
        return Answer(200, await access_users.get_preferences(conn, actor.id))


@own_profile.operation(
    "PUT",
    "/users/me/preferences",
    permission=SIGNED_IN,
    summary="Replace the own preferences",
    body=dict[str, Any],
    answers=dict[str, Any],
)
async def put_my_preferences(ask: Ask[dict[str, Any]]) -> Answer:
    """Any JSON object of at most 32 KiB."""
    actor = ask.need_person()
    document = encode(ask.body)
    if len(document) > MAX_PREFERENCES:
        raise Invalid(f"preferences have at most {MAX_PREFERENCES} bytes", code="too_large")
    if b"\\u0000" in document:
        raise Invalid("a NUL character cannot be stored", code="invalid_text")
    async with ask.services.database.tenant(actor.tenant_id) as conn:
        await access_users.put_preferences(conn, actor.id, document.decode())
    return Answer(200, document)


@own_profile.operation(
    "GET", "/users/me/sessions", permission=SIGNED_IN, summary="The own sessions", answers=SessionList
)
async def list_my_sessions(ask: Ask[None]) -> Answer:
    """Every device on which somebody is signed in as you."""
    actor = ask.need_person()
    async with ask.services.database.reader(actor.tenant_id) as conn:
        return json_answer(SessionList(await access_sessions.list_sessions(conn, actor.id)))


@own_profile.operation(
    "DELETE",
    "/users/me/sessions/{session_id}",
    permission=SIGNED_IN,
    summary="End one of the own sessions",
    paths=[SESSION],
    problems=[404],
)
async def delete_my_session(ask: Ask[None]) -> Answer:
    """Its tokens stop working at once."""
    actor = ask.need_person()
    return await end_session(ask, actor.tenant_id, actor.id)
