"""Changing who may do what, under one rule: nobody hands out, takes away or takes over more than they hold.

So an admin cannot make an operator, cannot reset an operator's password, and cannot create a key that may do what
they may not. Operators hold everything. The last active operator can be neither demoted nor removed.
"""

import re
from collections.abc import Sequence

import asyncpg

from core.access import roles as rules
from core.access.actors import Actor
from core.access.passwords import Passwords, WrongPassword, check_strength, fresh_password
from core.access.roles import BUILT_IN, OPERATOR
from core.errors import Conflict, NotAllowed, NotFound, RequestError
from core.ids import new_id
from core.storage import access_keys, access_roles, access_sessions, access_users
from core.storage.access_users import User
from core.storage.database import Database

_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,189}")
MAX_EMAIL = 254
"""Characters of an address (RFC 5321 4.5.3.1.3, less the angle brackets)."""


class NoSuchRole(RequestError):
    code = "unknown_role"


class BadEmail(RequestError):
    code = "bad_email"


class VersionChanged(RequestError):
    """What the caller read is not what there is now."""

    status_hint = 412
    code = "changed_meanwhile"


class LastOperator(Conflict):
    code = "last_operator"


def check_version(version: int, if_match: int | None) -> None:
    """Raises `VersionChanged` unless ``if_match`` (None: the caller does not mind) is this version."""
    if if_match is not None and if_match != version:
        raise VersionChanged("it was changed since you read it; read it again")


def check_email(email: str) -> str:
    """The address as it is stored. Raises `BadEmail`."""
    email = email.strip()
    if len(email) > MAX_EMAIL or not _EMAIL.fullmatch(email):
        raise BadEmail("this is not a mail address")
    return email


async def resolve_roles(conn: asyncpg.Connection, role_ids: Sequence[str]) -> frozenset[str]:
    """What these roles allow together. Raises `NoSuchRole`."""
    custom_ids = [role for role in role_ids if role not in BUILT_IN]
    custom = await access_roles.permissions_of(conn, custom_ids) if custom_ids else {}
    for role in custom_ids:
        if role not in custom:
            raise NoSuchRole(f"there is no role {role}")
    return rules.total(role_ids, custom)


def check_grant(actor: Actor, permissions: frozenset[str], *, operator: bool) -> None:
    """Raises `NotAllowed` when these are more rights than the actor has."""
    if operator and not actor.operator:
        raise NotAllowed("only an operator can give the rights of one")
    missing = sorted(permissions - actor.permissions)
    if missing:
        raise NotAllowed(f"nobody can give rights they do not have: {', '.join(missing)}")


async def create_user(
    conn: asyncpg.Connection,
    passwords: Passwords,
    actor: Actor,
    tenant_id: str,
    *,
    email: str,
    name: str,
    role_ids: Sequence[str],
    password: str | None,
) -> tuple[User, str | None]:
    """A new user, and the password that was made up for them when none was given."""
    email = check_email(email)
    check_grant(actor, await resolve_roles(conn, role_ids), operator=OPERATOR in role_ids)
    made_up = None if password is not None else fresh_password()
    chosen = password if password is not None else made_up or ""
    check_strength(chosen, email=email)
    user = await access_users.insert_user(
        conn,
        tenant_id=tenant_id,
        user_id=new_id("usr"),
        email=email,
        name=name,
        password_hash=await passwords.hash(chosen),
        roles=list(dict.fromkeys(role_ids)),
    )
    return user, made_up


async def manageable(conn: asyncpg.Connection, actor: Actor, user_id: str) -> User:
    """A user, locked, whom the actor may change. Raises `NotFound`, `NotAllowed`."""
    user = await access_users.lock_user(conn, user_id)
    if user is None:
        raise NotFound(f"there is no user {user_id}")
    held = await resolve_roles(conn, [r for r in user.roles if r in BUILT_IN or r.startswith("rol_")])
    if not (held <= actor.permissions and (actor.operator or OPERATOR not in user.roles)):
        raise NotAllowed("this user may do more than you; ask somebody who may as much")
    return user


async def update_user(
    conn: asyncpg.Connection,
    actor: Actor,
    user_id: str,
    *,
    name: str | None = None,
    email: str | None = None,
    role_ids: Sequence[str] | None = None,
    state: str | None = None,
    if_match: int | None = None,
) -> User:
    """Change a user. Sessions and keys that the change forbids end with it."""
    user = await manageable(conn, actor, user_id)
    check_version(user.version, if_match)
    if email is not None:
        email = check_email(email)
    if role_ids is not None:
        role_ids = list(dict.fromkeys(role_ids))
        allowed = await resolve_roles(conn, role_ids)
        check_grant(actor, allowed, operator=OPERATOR in role_ids)
        await _revoke_keys_beyond(conn, user_id, allowed, operator=OPERATOR in role_ids)
    if OPERATOR in user.roles and user.state == "active":
        demoted = role_ids is not None and OPERATOR not in role_ids
        if demoted or state == "deactivated":
            await _check_not_last_operator(conn)
    changed = await access_users.update_user(
        conn, user_id, name=name, email=email, roles=role_ids, state=state
    )
    if state == "deactivated":
        await access_sessions.revoke_sessions_of(conn, user_id, "deactivated")
    return changed


async def remove_user(
    conn: asyncpg.Connection, actor: Actor, user_id: str, *, if_match: int | None = None
) -> list[str]:
    """Delete a user and end everything they hold; the ids of the keys that ended."""
    user = await manageable(conn, actor, user_id)
    check_version(user.version, if_match)
    if user.id == actor.id:
        raise Conflict("nobody can delete themselves", code="own_account")
    if OPERATOR in user.roles and user.state == "active":
        await _check_not_last_operator(conn)
    await access_sessions.revoke_sessions_of(conn, user_id, "deleted")
    ended = await access_keys.revoke_keys_of(conn, user_id)
    await access_users.delete_user(conn, user_id)
    return ended


async def reset_password(
    conn: asyncpg.Connection, passwords: Passwords, actor: Actor, user_id: str, password: str | None
) -> str | None:
    """Give a user a new password and end their sessions; the password when it was made up here."""
    user = await manageable(conn, actor, user_id)
    made_up = None if password is not None else fresh_password()
    chosen = password if password is not None else made_up or ""
    check_strength(chosen, email=user.email)
    await access_users.update_user(conn, user_id, password_hash=await passwords.hash(chosen))
    await access_sessions.revoke_sessions_of(conn, user_id, "password")
    return made_up


async def change_own_password(
    database: Database, passwords: Passwords, actor: Actor, *, present: str, wanted: str
) -> None:
    """Change the actor's own password; all their other sessions end. Raises `WrongPassword`."""
    async with database.reader(actor.tenant_id) as conn:
        stored = await access_users.password_hash_of(conn, actor.id)
    if not await passwords.verify(stored, present):
        raise WrongPassword("the present password is not right")
    check_strength(wanted, email=actor.email)
    fresh = await passwords.hash(wanted)
    async with database.tenant(actor.tenant_id) as conn:
        await access_users.update_user(conn, actor.id, password_hash=fresh)
        await access_sessions.revoke_sessions_of(conn, actor.id, "password", but=actor.session_id)


async def _revoke_keys_beyond(
    conn: asyncpg.Connection, user_id: str, allowed: frozenset[str], *, operator: bool
) -> None:
    """A key may do no more than the one who made it."""
    for key in await access_keys.list_keys(conn, "and created_by = $1", [user_id], 1000):
        beyond = not frozenset(key.scopes) <= allowed or (key.all_tenants and not operator)
        if key.state != "revoked" and beyond:
            await access_keys.revoke_key(conn, key.id)


async def _check_not_last_operator(conn: asyncpg.Connection) -> None:
    if await access_users.count_operators(conn) <= 1:
        raise LastOperator("this is the last operator; make another one first")


async def first_operator(
    database: Database, *, tenant_id: str = "tnt_main", email: str = "operator@localhost"
) -> tuple[str, str] | None:
    """Make the first operator of a new installation: (email, password), the password told only here.

    None when there is an operator already. Two starters at once make one: the table is locked meanwhile.
    """
    passwords = Passwords()
    try:
        async with database.system() as conn:
            await conn.execute("lock table users in share row exclusive mode")
            if await access_users.count_operators(conn):
                return None
            password = fresh_password()
            await access_users.insert_user(
                conn,
                tenant_id=tenant_id,
                user_id=new_id("usr"),
                email=email,
                name="Operator",
                password_hash=await passwords.hash(password),
                roles=[OPERATOR],
            )
            return email, password
    finally:
        passwords.close()
