"""Roles of a tenant and the permissions they are made of."""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.lists import versioned
from api.http.operation import SIGNED_IN, Group, Path
from api.http.problem import bad_value
from api.http.shapes import Body, Name, Permission, Text
from core.access import people
from core.access.roles import BUILT_IN, PERMISSIONS, PLATFORM
from core.errors import Conflict, NotFound
from core.ids import new_id
from core.storage import access_roles
from core.storage.access_roles import CustomRole

roles = Group("roles", "Named sets of permissions, and the permissions there are.")

ROLE = Path(
    "role_id", "A built-in name (`admin`) or an own role's id (`rol_…`).", r"[a-z]+(_[0-9a-z]{1,40})?"
)
MOST_ROLES = 200
"""Own roles of a tenant."""

Permissions = Annotated[list[Permission], Meta(max_length=100)]


class RoleInfo(Struct):
    id: str
    name: str
    description: str
    permissions: list[str]
    built_in: bool
    version: int
    """0 for the built-in ones: they never change."""
    created_at: datetime | None
    updated_at: datetime | None


class RoleList(Struct):
    data: list[RoleInfo]


class NewRole(Body):
    name: Name
    permissions: Permissions
    description: Text = ""


class RoleChange(Body):
    name: Name | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    permissions: Permissions | UnsetType = UNSET


class PermissionInfo(Struct):
    name: str
    """`resource:action`."""
    description: str
    platform: bool
    """Reaches beyond one tenant: only operators hold it."""


class PermissionList(Struct):
    data: list[PermissionInfo]


def _built_in() -> list[RoleInfo]:
    return [
        RoleInfo(role.id, role.name, role.description, sorted(role.permissions), True, 0, None, None)
        for role in BUILT_IN.values()
    ]


def _own(role: CustomRole) -> RoleInfo:
    return RoleInfo(
        role.id,
        role.name,
        role.description,
        role.permissions,
        False,
        role.version,
        role.created_at,
        role.updated_at,
    )


def _checked(ask: Ask[NewRole] | Ask[RoleChange], permissions: list[str]) -> list[str]:
    for at, name in enumerate(permissions):
        if name not in PERMISSIONS:
            raise bad_value(f"/permissions/{at}", "there is no such permission", code="unknown")
        if name in PLATFORM:
            raise bad_value(
                f"/permissions/{at}", "only operators hold this one; no own role can", code="platform"
            )
    people.check_grant(ask.actor, frozenset(permissions), operator=False)
    return sorted(set(permissions))


@roles.operation("GET", "/roles", permission="roles:read", summary="List roles", answers=RoleList)
async def list_roles(ask: Ask[None]) -> Answer:
    """The built-in ones first, then the tenant's own: all of them, there are no pages."""
    async with ask.services.database.reader(ask.tenant_id) as conn:
        own = await access_roles.list_roles(conn)
    return json_answer(RoleList(_built_in() + [_own(role) for role in own]))


@roles.operation(
    "POST",
    "/roles",
    permission="roles:write",
    summary="Create a role",
    body=NewRole,
    answers=RoleInfo,
    status=201,
    problems=[409],
    etag=True,
)
async def create_role(ask: Ask[NewRole]) -> Answer:
    """With permissions that you hold yourself, except the platform's."""
    permissions = _checked(ask, ask.body.permissions)
    async with ask.services.database.tenant(ask.tenant_id) as conn:
        if len(await access_roles.list_roles(conn)) >= MOST_ROLES:
            raise Conflict(f"a tenant has at most {MOST_ROLES} roles of its own", code="too_many")
        role = await access_roles.insert_role(
            conn,
            tenant_id=ask.tenant_id,
            role_id=new_id("rol"),
            name=ask.body.name,
            description=ask.body.description,
            permissions=permissions,
        )
    answer = versioned(ask, _own(role), 201)
    answer.headers = [(b"location", f"/v1/roles/{role.id}".encode())]
    return answer


@roles.operation(
    "GET",
    "/roles/{role_id}",
    permission="roles:read",
    summary="One role",
    answers=RoleInfo,
    paths=[ROLE],
    problems=[404],
    etag=True,
)
async def get_role(ask: Ask[None]) -> Answer:
    """A built-in or an own role."""
    role_id = ask.path["role_id"]
    for role in _built_in():
        if role.id == role_id:
            return versioned(ask, role)
    async with ask.services.database.reader(ask.tenant_id) as conn:
        return versioned(ask, _own(_found(await access_roles.get_role(conn, role_id), role_id)))


@roles.operation(
    "PATCH",
    "/roles/{role_id}",
    permission="roles:write",
    summary="Change a role",
    body=RoleChange,
    answers=RoleInfo,
    paths=[ROLE],
    problems=[404, 409],
    etag=True,
    if_match=True,
)
async def update_role(ask: Ask[RoleChange]) -> Answer:
    """Everybody who has the role acts with its new permissions at once."""
    role_id, body = ask.path["role_id"], ask.body
    permissions = None if body.permissions is UNSET else _checked(ask, body.permissions)
    async with ask.services.database.tenant(ask.tenant_id) as conn:
        role = _found(await access_roles.get_role(conn, role_id, lock=True), role_id)
        people.check_version(role.version, ask.if_match)
        people.check_grant(ask.actor, frozenset(role.permissions), operator=False)
        role = await access_roles.update_role(
            conn,
            role_id,
            name=None if body.name is UNSET else body.name,
            description=None if body.description is UNSET else body.description,
            permissions=permissions,
        )
    await ask.services.access.revoked(ask.tenant_id)
    return versioned(ask, _own(role))


@roles.operation(
    "DELETE",
    "/roles/{role_id}",
    permission="roles:write",
    summary="Delete a role",
    paths=[ROLE],
    problems=[404, 409],
    if_match=True,
)
async def delete_role(ask: Ask[None]) -> Answer:
    """409 while somebody has it: the answer names them."""
    role_id = ask.path["role_id"]
    async with ask.services.database.tenant(ask.tenant_id) as conn:
        role = _found(await access_roles.get_role(conn, role_id, lock=True), role_id)
        people.check_version(role.version, ask.if_match)
        people.check_grant(ask.actor, frozenset(role.permissions), operator=False)
        holders = await access_roles.users_with(conn, role_id)
        if holders:
            raise Conflict(f"the role is given to {', '.join(holders)}", code="in_use")
        await access_roles.delete_role(conn, role_id)
    return Answer(204)


@roles.operation(
    "GET", "/permissions", permission=SIGNED_IN, summary="The permissions there are", answers=PermissionList
)
async def list_permissions(ask: Ask[None]) -> Answer:
    """What roles and keys can be made of."""
    return json_answer(
        PermissionList([PermissionInfo(name, text, name in PLATFORM) for name, text in PERMISSIONS.items()])
    )


def _found(role: CustomRole | None, role_id: str) -> CustomRole:
    if role_id in BUILT_IN:
        raise Conflict("a built-in role cannot be changed; make one of your own", code="built_in")
    if role is None:
        raise NotFound(f"there is no role {role_id}", code="no_such_role")
    return role
