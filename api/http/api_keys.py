"""API keys: how programs get in. The secret is shown once; only a hash of it is kept."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.answer import Answer, encode, json_answer
from api.http.ask import Ask
from api.http.lists import rows_answer, versioned
from api.http.operation import Group, Path
from api.http.problem import bad_value
from api.http.query import Filter
from api.http.shapes import Body, Name, Permission
from core.access import keys, people
from core.access.roles import PERMISSIONS
from core.errors import Conflict, NotFound
from core.storage import access_filters, access_keys
from core.storage.access_keys import ApiKey

api_keys = Group("api-keys", "Keys for programs: scoped, with expiry and last use.")

KEY = Path("key_id", "The key's id: `key_…`.")
Scopes = Annotated[list[Permission], Meta(min_length=1, max_length=100)]
MAX_OVERLAP_S = 7 * 24 * 3600


class NewKey(Body):
    name: Name
    scopes: Scopes
    """Permissions, of those that you hold yourself."""
    expires_at: datetime | None = None
    all_tenants: bool = False
    """For operators: the key may name any tenant in the `Tenant` header."""


class CreatedKey(Struct):
    key: ApiKey
    secret: str | None
    """What goes into `Authorization: Bearer …`. It is not shown again."""


class KeyChange(Body):
    name: Name | UnsetType = UNSET
    scopes: Scopes | UnsetType = UNSET
    expires_at: datetime | UnsetType | None = UNSET


class Rotation(Body):
    overlap_s: Annotated[int, Meta(ge=0, le=MAX_OVERLAP_S)] = 0
    """How long the old secret goes on working beside the new one."""


FILTERS = (Filter("name"), Filter("created_by"), Filter("scopes", "set"), Filter("created_at", "time"))
_COLUMNS = {"name": "name", "created_by": "created_by", "scopes[]": "scopes", "created_at": "created_at"}


def _checked_scopes(ask: Ask[NewKey] | Ask[KeyChange], scopes: list[str], *, all_tenants: bool) -> list[str]:
    for at, name in enumerate(scopes):
        if name not in PERMISSIONS:
            raise bad_value(f"/scopes/{at}", "there is no such permission", code="unknown")
    people.check_grant(ask.actor, frozenset(scopes), operator=all_tenants)
    return sorted(set(scopes))


def _checked_expiry(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise bad_value("/expires_at", "has no offset from UTC; end it with Z")
    if moment <= datetime.now(UTC):
        raise bad_value("/expires_at", "is in the past")
    return moment


@api_keys.operation(
    "GET",
    "/api-keys",
    permission="api-keys:read",
    summary="List API keys, newest first",
    answers=ApiKey,
    listing=True,
    filters=FILTERS,
)
async def list_api_keys(ask: Ask[None]) -> Answer:
    """Revoked and expired ones too: what they did can still be told."""
    values: list[object] = []
    where = access_filters.where(ask.query.conditions, _COLUMNS, values)
    where += access_filters.after(ask.query.page.after, values)
    async with ask.services.database.reader(ask.tenant_id) as conn:
        rows = await access_keys.list_keys(conn, where, values, ask.query.page.limit + 1)
    return rows_answer(ask, rows, lambda key: access_filters.place_of(key.created_at, key.id))


@api_keys.operation(
    "POST",
    "/api-keys",
    permission="api-keys:write",
    summary="Create an API key",
    body=NewKey,
    answers=CreatedKey,
    status=201,
    problems=[409],
)
async def create_api_key(ask: Ask[NewKey]) -> Answer:
    """A repetition with the same `Idempotency-Key` answers without the secret: it is kept nowhere."""
    body = ask.body
    scopes = _checked_scopes(ask, body.scopes, all_tenants=body.all_tenants)
    key_id, secret, digest = keys.fresh_key()
    async with ask.services.database.tenant(ask.tenant_id) as conn:
        key = await access_keys.insert_key(
            conn,
            tenant_id=ask.tenant_id,
            key_id=key_id,
            name=body.name,
            scopes=scopes,
            all_tenants=body.all_tenants,
            secret_hash=digest,
            created_by=ask.actor.id,
            expires_at=_checked_expiry(body.expires_at),
        )
    answer = json_answer(CreatedKey(key, secret), 201, etag=str(key.version))
    answer.kept = encode(CreatedKey(key, None))
    answer.headers = [(b"location", f"/v1/api-keys/{key_id}".encode())]
    return answer


@api_keys.operation(
    "GET",
    "/api-keys/{key_id}",
    permission="api-keys:read",
    summary="One API key",
    answers=ApiKey,
    paths=[KEY],
    problems=[404],
    etag=True,
)
async def get_api_key(ask: Ask[None]) -> Answer:
    """Never its secret. `last_used_at` is true to the minute."""
    async with ask.services.database.reader(ask.tenant_id) as conn:
        return versioned(ask, _found(await access_keys.get_key(conn, ask.path["key_id"]), ask))


@api_keys.operation(
    "PATCH",
    "/api-keys/{key_id}",
    permission="api-keys:write",
    summary="Change an API key",
    body=KeyChange,
    answers=ApiKey,
    paths=[KEY],
    problems=[404, 409],
    etag=True,
    if_match=True,
)
async def update_api_key(ask: Ask[KeyChange]) -> Answer:
    """Its name, scopes or expiry; the change counts at once."""
    body = ask.body
    async with ask.services.database.tenant(ask.tenant_id) as conn:
        key = await _changeable(ask, conn)
        scopes = None
        if body.scopes is not UNSET:
            scopes = _checked_scopes(ask, body.scopes, all_tenants=key.all_tenants)
        expiry = None if body.expires_at is UNSET else _checked_expiry(body.expires_at)
        key = await access_keys.update_key(
            conn,
            key.id,
            name=None if body.name is UNSET else body.name,
            scopes=scopes,
            change_expiry=body.expires_at is not UNSET,
            expires_at=expiry,
        )
    await ask.services.access.revoked(key.id)
    return versioned(ask, key)


@api_keys.operation(
    "DELETE",
    "/api-keys/{key_id}",
    permission="api-keys:write",
    summary="Revoke an API key",
    paths=[KEY],
    problems=[404, 409],
    if_match=True,
)
async def delete_api_key(ask: Ask[None]) -> Answer:
    """It stops working at once, for ever; it stays in the list as revoked."""
    async with ask.services.database.tenant(ask.tenant_id) as conn:
        key = await _changeable(ask, conn)
        await access_keys.revoke_key(conn, key.id)
    await ask.services.access.revoked(key.id)
    return Answer(204)


@api_keys.operation(
    "POST",
    "/api-keys/{key_id}/rotate",
    permission="api-keys:write",
    summary="Give an API key a new secret",
    body=Rotation,
    body_optional=True,
    answers=CreatedKey,
    paths=[KEY],
    problems=[404, 409],
)
async def rotate_api_key(ask: Ask[Rotation | None]) -> Answer:
    """With `overlap_s` both secrets work for a while, so that nothing stops while the new one is brought out."""
    overlap_s = ask.body.overlap_s if ask.body is not None else 0
    until = datetime.now(UTC) + timedelta(seconds=overlap_s) if overlap_s else None
    async with ask.services.database.tenant(ask.tenant_id) as conn:
        key = await _changeable(ask, conn)
        secret, digest = keys.fresh_secret(key.id)
        key = await access_keys.rotate_key(conn, key.id, digest, until)
    await ask.services.access.revoked(key.id)
    answer = json_answer(CreatedKey(key, secret))
    answer.kept = encode(CreatedKey(key, None))
    return answer


async def _changeable(ask, conn) -> ApiKey:  # type: ignore[no-untyped-def]  # any body, asyncpg has no types
    """The key in the path, locked, if the actor may do at least as much as it may."""
    key = _found(await access_keys.get_key(conn, ask.path["key_id"], lock=True), ask)
    people.check_version(key.version, ask.if_match)
    people.check_grant(ask.actor, frozenset(key.scopes), operator=key.all_tenants)
    if key.state == "revoked":
        raise Conflict("the key was revoked; make a new one", code="revoked")
    return key


def _found(key: ApiKey | None, ask) -> ApiKey:  # type: ignore[no-untyped-def]  # any body
    if key is None:
        raise NotFound(f"there is no key {ask.path['key_id']}", code="no_such_key")
    return key
