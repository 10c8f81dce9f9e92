"""Tenants: who the platform is divided among, and their limits."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.lists import rows_answer, versioned
from api.http.operation import Group, Path
from api.http.query import Filter
from api.http.ratelimit import Limits
from api.http.shapes import Body, Name
from core.access import people
from core.errors import Conflict, NotAllowed, NotFound
from core.ids import new_id
from core.storage import access_filters, access_tenants
from core.storage.access_tenants import MAIN, Tenant

tenants = Group(
    "tenants", "Tenants and their limits. Operators see and change all of them, others see their own."
)

TENANT = Path("tenant_id", "The tenant's id: `tnt_…`.")


class NewTenant(Body):
    name: Name
    limits: Limits | None = None


class TenantChange(Body):
    name: Name | UnsetType = UNSET


FILTERS = (Filter("name"), Filter("state", "word", ("active", "suspended")), Filter("created_at", "time"))
_COLUMNS = {"name": "name", "state": "state", "created_at": "created_at"}


def _sight(ask: Ask[Any]) -> str:
    """What the database shows: all tenants to operators, else only the own one."""
    return "*" if ask.actor.operator else ask.actor.tenant_id


@tenants.operation(
    "GET",
    "/tenants",
    permission="tenants:read",
    summary="List tenants, newest first",
    answers=Tenant,
    listing=True,
    filters=FILTERS,
)
async def list_tenants(ask: Ask[None]) -> Answer:
    """Operators see all, others only their own."""
    values: list[object] = []
    where = access_filters.where(ask.query.conditions, _COLUMNS, values)
    where += access_filters.after(ask.query.page.after, values)
    async with ask.services.database.reader(_sight(ask)) as conn:
        rows = await access_tenants.list_tenants(conn, where, values, ask.query.page.limit + 1)
    return rows_answer(ask, rows, lambda tenant: access_filters.place_of(tenant.created_at, tenant.id))


@tenants.operation(
    "POST",
    "/tenants",
    permission="tenants:write",
    summary="Create a tenant",
    body=NewTenant,
    answers=Tenant,
    status=201,
    etag=True,
)
async def create_tenant(ask: Ask[NewTenant]) -> Answer:
    """Then create its first admin: `POST /v1/users` with the header `Tenant: <its id>`."""
    if not ask.actor.operator:
        raise NotAllowed("only operators, and keys of theirs for all tenants, create tenants")
    limits = msgspec.to_builtins(ask.body.limits) if ask.body.limits is not None else {}
    async with ask.services.database.system() as conn:
        tenant = await access_tenants.insert_tenant(
            conn, tenant_id=new_id("tnt"), name=ask.body.name, limits=limits
        )
    answer = versioned(ask, tenant, 201)
    answer.headers = [(b"location", f"/v1/tenants/{tenant.id}".encode())]
    return answer


@tenants.operation(
    "GET",
    "/tenants/{tenant_id}",
    permission="tenants:read",
    summary="One tenant",
    answers=Tenant,
    paths=[TENANT],
    problems=[404],
    etag=True,
)
async def get_tenant(ask: Ask[None]) -> Answer:
    """404 for another tenant's, as if it did not exist."""
    async with ask.services.database.reader(_sight(ask)) as conn:
        return versioned(ask, _found(await access_tenants.get_tenant(conn, ask.path["tenant_id"]), ask))


@tenants.operation(
    "PATCH",
    "/tenants/{tenant_id}",
    permission="tenants:write",
    summary="Rename a tenant",
    body=TenantChange,
    answers=Tenant,
    paths=[TENANT],
    problems=[404],
    etag=True,
    if_match=True,
)
async def update_tenant(ask: Ask[TenantChange]) -> Answer:
    """Only the name; suspending and limits have endpoints of their own."""
    name = None if ask.body.name is UNSET else ask.body.name
    return versioned(ask, await _change(ask, name=name))


@tenants.operation(
    "DELETE",
    "/tenants/{tenant_id}",
    permission="tenants:write",
    summary="Delete a tenant",
    paths=[TENANT],
    problems=[404, 409],
    if_match=True,
)
async def delete_tenant(ask: Ask[None]) -> Answer:
    """409 while it has active users or live calls. Its records stay until they are erased on purpose."""
    tenant_id = ask.path["tenant_id"]
    async with ask.services.database.tenant(_sight(ask)) as conn:
        tenant = _found(await access_tenants.get_tenant(conn, tenant_id, lock=True), ask)
        people.check_version(tenant.version, ask.if_match)
        _not_main(tenant_id)
        if left := await access_tenants.users_of(conn, tenant_id):
            raise Conflict(f"it still has {left} active users", code="in_use")
        if left := await access_tenants.live_calls_of(conn, tenant_id):
            raise Conflict(f"it still has {left} live calls", code="in_use")
        await access_tenants.update_tenant(conn, tenant_id, state="deleted")
    await ask.services.access.revoked(tenant_id)
    return Answer(204)


@tenants.operation(
    "POST",
    "/tenants/{tenant_id}/suspend",
    permission="tenants:write",
    summary="Suspend a tenant",
    answers=Tenant,
    paths=[TENANT],
    problems=[404, 409],
    etag=True,
)
async def suspend_tenant(ask: Ask[None]) -> Answer:
    """None of its people and keys gets in, from now on. Its live calls go on."""
    _not_main(ask.path["tenant_id"])
    return versioned(ask, await _change(ask, state="suspended"))


@tenants.operation(
    "POST",
    "/tenants/{tenant_id}/resume",
    permission="tenants:write",
    summary="Resume a tenant",
    answers=Tenant,
    paths=[TENANT],
    problems=[404],
    etag=True,
)
async def resume_tenant(ask: Ask[None]) -> Answer:
    """Its people and keys get in again."""
    return versioned(ask, await _change(ask, state="active"))


@tenants.operation(
    "GET",
    "/tenants/{tenant_id}/limits",
    permission="tenants:read",
    summary="A tenant's limits",
    answers=Limits,
    paths=[TENANT],
    problems=[404],
)
async def get_tenant_limits(ask: Ask[None]) -> Answer:
    """How fast it may ask; what is null is the platform's default."""
    async with ask.services.database.reader(_sight(ask)) as conn:
        limits = await access_tenants.get_limits(conn, ask.path["tenant_id"])
    if limits is None:
        raise _absent(ask)
    return json_answer(Limits.of(limits))


@tenants.operation(
    "PUT",
    "/tenants/{tenant_id}/limits",
    permission="tenants:write",
    summary="Replace a tenant's limits",
    body=Limits,
    answers=Limits,
    paths=[TENANT],
    problems=[404],
)
async def put_tenant_limits(ask: Ask[Limits]) -> Answer:
    """They count within seconds, in every API process."""
    tenant_id = ask.path["tenant_id"]
    async with ask.services.database.tenant(_sight(ask)) as conn:
        _found(await access_tenants.get_tenant(conn, tenant_id, lock=True), ask)
        await access_tenants.put_limits(conn, tenant_id, msgspec.to_builtins(ask.body))
    await ask.services.access.revoked(tenant_id)
    return json_answer(ask.body)


async def _change(ask: Ask[Any], *, name: str | None = None, state: str | None = None) -> Tenant:
    tenant_id = ask.path["tenant_id"]
    async with ask.services.database.tenant(_sight(ask)) as conn:
        tenant = _found(await access_tenants.get_tenant(conn, tenant_id, lock=True), ask)
        people.check_version(tenant.version, ask.if_match)
        tenant = await access_tenants.update_tenant(conn, tenant_id, name=name, state=state)
    await ask.services.access.revoked(tenant_id)
    return tenant


def _not_main(tenant_id: str) -> None:
    if tenant_id == MAIN:
        raise Conflict("this is the platform's own tenant", code="main_tenant")


def _absent(ask: Ask[Any]) -> NotFound:
    return NotFound(f"there is no tenant {ask.path['tenant_id']}", code="no_such_tenant")


def _found(tenant: Tenant | None, ask: Ask[Any]) -> Tenant:
    if tenant is None:
        raise _absent(ask)
    return tenant
