"""Changing who may do what, under one rule: nobody hands out, takes away or takes over more than they hold.

So an admin cannot make an operator, cannot reset an operator's password, and cannot create a key that may do what
they may not. Operators hold everything. The last active operator can be neither demoted nor removed.
"""

import re
from collections.abc import Sequence

from msgspec import Struct

from core.access import roles as rules
from core.access.actors import Actor
from core.access.passwords import Passwords, check_strength, fresh_password
from core.access.roles import BUILT_IN, OPERATOR
from core.errors import Conflict, NotAllowed, NotFound, RequestError
from core.ids import new_id
from core.storage import access_keys, access_roles, access_sessions, access_users
from core.storage.access_tenants import MAIN
from core.storage.access_users import User
from core.storage.database import Connection, Database

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


async def resolve_roles(conn: Connection, role_ids: Sequence[str]) -> frozenset[str]:
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


class Chosen(Struct, frozen=True):
    """A password on its way into the store."""

    hash: str
    told: str | None
    """The password itself when it was made up here: to be shown once."""


async def choose_password(passwords: Passwords, wanted: str | None, *, email: str = "") -> Chosen:
    """Hash ``wanted``, or a password made up here. Raises `core.access.passwords.WeakPassword`.

    Called before a transaction begins: hashing takes a while, and a row should not be locked meanwhile.
    """
    if wanted is not None:
        check_strength(wanted, email=email)
        return Chosen(await passwords.hash(wanted), None)
    made_up = fresh_password()
    return Chosen(await passwords.hash(made_up), made_up)


def check_operator_place(actor: Actor, tenant_id: str) -> None:
    """Operators are made only among operators, in their own tenant: so there is one place to count them."""
    if not actor.operator or actor.tenant_id != tenant_id:
        raise NotAllowed("operators are made by operators, in their own tenant")


async def create_user(
    conn: Connection,
    actor: Actor,
    tenant_id: str,
    *,
    email: str,
    name: str,
    role_ids: Sequence[str],
    password: Chosen,
) -> User:
    """A new user. Raises `EmailTaken`, `NoSuchRole`, `NotAllowed`."""
    email = check_email(email)
    if OPERATOR in role_ids:
        check_operator_place(actor, tenant_id)
    check_grant(actor, await resolve_roles(conn, role_ids), operator=OPERATOR in role_ids)
    return await access_users.insert_user(
        conn,
        tenant_id=tenant_id,
        user_id=new_id("usr"),
        email=email,
        name=name,
        password_hash=password.hash,
        roles=list(dict.fromkeys(role_ids)),
    )


async def manageable(conn: Connection, actor: Actor, user_id: str) -> User:
    """A user, locked, whom the actor may change. Raises `NotFound`, `NotAllowed`."""
    user = await access_users.lock_user(conn, user_id)
    if user is None:
        raise NotFound(f"there is no user {user_id}", code="no_such_user")
    held = rules.total(user.roles, await access_roles.permissions_of(conn, user.roles))
    if not (held <= actor.permissions and (actor.operator or OPERATOR not in user.roles)):
        raise NotAllowed("this user may do more than you; ask somebody who may as much")
    return user


async def update_user(
    conn: Connection,
    actor: Actor,
    tenant_id: str,
    user_id: str,
    *,
    name: str | None = None,
    email: str | None = None,
    role_ids: Sequence[str] | None = None,
    state: str | None = None,
    if_match: int | None = None,
) -> tuple[User, list[str]]:
    """Change a user; the ids of the keys that ended with it, because the user may no longer do what they may."""
    user = await manageable(conn, actor, user_id)
    check_version(user.version, if_match)
    ended: list[str] = []
    if email is not None:
        email = check_email(email)
    if role_ids is not None:
        role_ids = list(dict.fromkeys(role_ids))
        operator = OPERATOR in role_ids
        if operator and OPERATOR not in user.roles:
            check_operator_place(actor, tenant_id)
        allowed = await resolve_roles(conn, role_ids)
        check_grant(actor, allowed, operator=operator)
        ended = await _revoke_keys_beyond(conn, user_id, allowed, operator=operator)
    if OPERATOR in user.roles and user.state == "active":
        demoted = role_ids is not None and OPERATOR not in role_ids
        if demoted or state == "deactivated":
            await _check_not_last_operator(conn)
    changed = await access_users.update_user(
        conn, user_id, name=name, email=email, roles=role_ids, state=state
    )
    if state == "deactivated":
        await access_sessions.revoke_sessions_of(conn, user_id, "deactivated")
    return changed, ended


async def remove_user(
    conn: Connection, actor: Actor, user_id: str, *, if_match: int | None = None
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


async def reset_password(conn: Connection, actor: Actor, user_id: str, password: Chosen) -> None:
    """Give a user a new password and end their sessions."""
    await manageable(conn, actor, user_id)
    await access_users.update_user(conn, user_id, password_hash=password.hash)
    await access_sessions.revoke_sessions_of(conn, user_id, "password")


async def _revoke_keys_beyond(
    conn: Connection, user_id: str, allowed: frozenset[str], *, operator: bool
) -> list[str]:
    """A key may do no more than the one who made it."""
    ended = []
    for key in await access_keys.keys_made_by(conn, user_id):
        if not frozenset(key.scopes) <= allowed or (key.all_tenants and not operator):
            await access_keys.revoke_key(conn, key.id)
            ended.append(key.id)
    return ended


async def _check_not_last_operator(conn: Connection) -> None:
    if len(await access_users.operators(conn, lock=True)) <= 1:
        raise LastOperator("this is the last operator; make another one first")


async def first_operator(
    database: Database, *, tenant_id: str = MAIN, email: str = "operator@localhost.localdomain"
) -> tuple[str, str] | None:
    """Make the first operator of a new installation: (email, password), the password told only here.

    None when there is an operator already. Two starters at once make one.
    """
    async with database.reader(tenant_id) as conn:
        if await access_users.operators(conn):
            return None
    passwords = Passwords()
    try:
        chosen = await choose_password(passwords, None)
    finally:
        passwords.close()
    async with database.tenant(tenant_id) as conn:
        await access_users.one_at_a_time(conn)
        if await access_users.operators(conn) or chosen.told is None:
            return None
        await access_users.insert_user(
            conn,
            tenant_id=tenant_id,
            user_id=new_id("usr"),
            email=email,
            name="Operator",
            password_hash=chosen.hash,
            roles=[OPERATOR],
        )
    return email, chosen.told
