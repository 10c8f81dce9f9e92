"""Channels: what there is to connect, and the accounts that a tenant has connected."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.answer import Answer, encode
from api.http.ask import Ask
from api.http.lists import rows_answer, versioned
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.shapes import Body, Name
from core.channels import hidden_members
from core.storage import channels as store
from core.storage.channels import ChannelRow
from irisx_sdk import Channel

channels = Group("channels", "Accounts with providers of messages, and the channels that plugins bring.")

CHANNEL = Path("channel_id", "The account's id: `chn_…`.")
ChannelType = Annotated[str, Meta(max_length=80, pattern=whole(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?"))]
Address = Annotated[str, Meta(max_length=254, pattern=whole(r"[^\x00-\x1f\x7f]*"))]


class ChannelKind(Struct):
    """Something that can be connected."""

    type: str
    title: str
    address: Literal["phone", "email", "user"]
    """What its users are known by."""
    capabilities: dict[str, Any]
    settings: dict[str, Any]
    """The JSON schema of an account's settings; `writeOnly` members are never shown again."""


class ChannelInfo(Struct):
    """One connected account. Times are microseconds since 1970."""

    id: str
    type: str
    name: str
    state: Literal["active", "disabled", "misconfigured"]
    reason: str
    """Why it is not active, for people."""
    address: str
    settings: dict[str, Any]
    """Without its secrets."""
    limits: dict[str, Any]
    inbound_url: str
    """What to enter at the provider as the address for webhooks; empty for channels that take none."""
    version: int
    created_us: int
    updated_us: int


class NewChannel(Body):
    type: ChannelType
    name: Name
    settings: dict[str, Any]
    address: Address = ""
    """Which of your addresses it is: shown to agents."""


class ChannelLimits(Body):
    per_second: Annotated[float, Meta(ge=0, le=100_000)] = 0
    """Messages that the provider is given a second, over all servers; 0: as fast as it takes them."""


class ChannelChange(Body):
    name: Name | UnsetType = UNSET
    address: Address | UnsetType = UNSET
    state: Literal["active", "disabled"] | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    """All of them, secrets too: what is not in it is gone."""
    limits: ChannelLimits | UnsetType = UNSET


class Backlog(Struct):
    """What waits to be sent through an account."""

    waiting: int
    calling: int
    """Of these, the ones that its provider is being given right now."""
    oldest_due_us: int
    """Since when the oldest has been due; 0 when nothing waits."""


@channels.operation(
    "GET",
    "/channel-types",
    permission="channels:read",
    summary="List what can be connected",
    answers=ChannelKind,
    listing=True,
)
async def list_channel_types(ask: Ask[None]) -> Answer:
    """The channels of every plugin that is installed on this server, by name from z to a."""
    known = sorted(ask.services.channels.known.values(), key=lambda one: one.name, reverse=True)
    after = ask.query.page.after
    found = [_kind(one) for one in known if after is None or one.name < after[1]]
    return rows_answer(ask, found[: ask.query.page.limit + 1], lambda one: (0, one.type))


@channels.operation(
    "GET",
    "/channels",
    permission="channels:read",
    summary="List connected accounts, newest first",
    answers=ChannelInfo,
    listing=True,
)
async def list_channels(ask: Ask[None]) -> Answer:
    """A tenant has some dozens."""
    rows = await store.list_channels(ask.services.database, ask.tenant_id)
    after = ask.query.page.after
    found = [_info(ask, row) for row in rows if after is None or (row.created_us, row.id) < after]
    return rows_answer(ask, found[: ask.query.page.limit + 1], lambda one: (one.created_us, one.id))


@channels.operation(
    "POST",
    "/channels",
    permission="channels:write",
    summary="Connect an account",
    body=NewChannel,
    answers=ChannelInfo,
    status=201,
)
async def create_channel(ask: Ask[NewChannel]) -> Answer:
    """Its secrets are sealed before they are stored."""
    body, known = ask.body, ask.services.channels
    channel = known.check_settings(body.type, body.settings)
    row = await store.create_channel(
        ask.services.database,
        ask.tenant_id,
        secret=ask.services.secret,
        type=body.type,
        name=body.name,
        settings=body.settings,
        hidden=hidden_members(channel),
        address=body.address,
    )
    answer = versioned(ask, _info(ask, row), 201)
    answer.headers = [*answer.headers, (b"location", f"/v1/channels/{row.id}".encode())]
    return answer


@channels.operation(
    "GET",
    "/channels/{channel_id}",
    permission="channels:read",
    summary="One connected account",
    answers=ChannelInfo,
    paths=[CHANNEL],
    problems=[404],
    etag=True,
)
async def get_channel(ask: Ask[None]) -> Answer:
    """Without its secrets."""
    row = await store.get_channel(ask.services.database, ask.tenant_id, ask.path["channel_id"])
    return versioned(ask, _info(ask, row))


@channels.operation(
    "PATCH",
    "/channels/{channel_id}",
    permission="channels:write",
    summary="Change a connected account",
    body=ChannelChange,
    answers=ChannelInfo,
    paths=[CHANNEL],
    problems=[404, 412],
    etag=True,
    if_match=True,
)
async def update_channel(ask: Ask[ChannelChange]) -> Answer:
    """All processes follow within two seconds."""
    known, channel_id = ask.services.channels, ask.path["channel_id"]
    given = {
        name: getattr(ask.body, name)
        for name in ask.body.__struct_fields__
        if getattr(ask.body, name) is not UNSET
    }
    if "limits" in given:
        given["limits"] = {"per_second": given["limits"].per_second}
    hidden: frozenset[str] = frozenset()
    if "settings" in given:
        row = await store.get_channel(ask.services.database, ask.tenant_id, channel_id)
        hidden = hidden_members(known.check_settings(row.type, given["settings"]))
        if row.state == "misconfigured":
            given.setdefault("state", "active")  # whoever mends it wants it tried again
    row = await store.update_channel(
        ask.services.database,
        ask.tenant_id,
        channel_id,
        secret=ask.services.secret,
        hidden=hidden,
        version=ask.if_match,
        **given,
    )
    known.forget(channel_id)
    return versioned(ask, _info(ask, row))


@channels.operation(
    "DELETE",
    "/channels/{channel_id}",
    permission="channels:write",
    summary="Disconnect an account",
    paths=[CHANNEL],
    problems=[404, 409],
)
async def delete_channel(ask: Ask[None]) -> Answer:
    """Its messages stay, its secrets do not. 409 while messages wait to be sent through it."""
    await store.delete_channel(ask.services.database, ask.tenant_id, ask.path["channel_id"])
    ask.services.channels.forget(ask.path["channel_id"])
    return Answer(204)


@channels.operation(
    "GET",
    "/channels/{channel_id}/backlog",
    permission="channels:read",
    summary="What waits to be sent",
    answers=Backlog,
    paths=[CHANNEL],
    problems=[404],
)
async def get_backlog(ask: Ask[None]) -> Answer:
    """A backlog that grows means that the provider is slower than we write, or away."""
    channel_id = ask.path["channel_id"]
    await store.get_channel(ask.services.database, ask.tenant_id, channel_id)
    found = await store.backlog(ask.services.database, ask.tenant_id, channel_id)
    return Answer(200, encode(Backlog(**found)))


def _kind(channel: Channel) -> ChannelKind:
    (schema,), parts = msgspec.json.schema_components([channel.Settings])
    settings = parts.get(channel.Settings.__name__, schema)
    if len(parts) > 1:
        settings = {**settings, "$defs": parts}
    return ChannelKind(
        type=channel.name,
        title=channel.title,
        address=channel.address,
        capabilities=msgspec.to_builtins(channel.capabilities),
        settings=settings,
    )


def _info(ask: Ask[Any], row: ChannelRow) -> ChannelInfo:
    channel = ask.services.channels.known.get(row.type)
    takes = channel is not None and channel.capabilities.webhook
    members = {name: getattr(row, name) for name in ChannelInfo.__struct_fields__ if name != "inbound_url"}
    base = ask.services.settings.public_url.rstrip("/")
    return ChannelInfo(**members, inbound_url=f"{base}/v1/channels/{row.id}/inbound" if takes else "")
