"""Bulletin, a chat provider that speaks JSON: what its wire means in the platform's words, and sending over it."""

import hashlib
import hmac
from typing import Annotated

import msgspec

import irisx_sdk as sdk
from irisx_sdk.http import call, expect

TOLERANCE_S = 300
STATES: dict[str, sdk.State] = {"sent": "sent", "seen": "read", "lost": "undelivered", "arrived": "delivered"}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    token: Annotated[str, sdk.secret("The account's API token")]
    signing_key: Annotated[str, sdk.secret("What Bulletin signs its webhooks with")]
    base_url: Annotated[str, msgspec.Meta(description="Where Bulletin is")] = "https://api.bulletin.example"


class Event(msgspec.Struct):
    """A post of a customer (``person``, ``text``), or the ``state`` of one of ours."""

    type: str
    id: str
    person: str = ""
    text: str = ""
    state: str = ""
    key: str = ""
    at_ms: Annotated[int, msgspec.Meta(ge=0, lt=1 << 48)] = 0


def sign(key: str, at: str, body: bytes) -> bytes:
    """Hexadecimal HMAC-SHA256 over the time, a full stop and the body."""
    return hmac.new(key.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest().encode()


class Bulletin(sdk.Channel):
    name = "bulletin"
    title = "Bulletin"
    address = "user"
    capabilities = sdk.Capabilities(sends=frozenset({"text"}), max_text=500, receipts="read", idempotent=True)
    Settings = Settings

    def parse_webhook(self, account: sdk.Account, request: sdk.Request) -> sdk.Parsed:
        at, signature = (request.headers.get(f"bulletin-{name}", "") for name in ("time", "signature"))
        expected = sign(account.settings.signing_key, at, request.body)
        if not hmac.compare_digest(signature.encode(), expected):
            raise sdk.BadSignature("the signature does not fit the body")
        if not at.isdecimal() or abs(request.received_us / 1e6 - int(at[:12])) > TOLERANCE_S:
            raise sdk.BadSignature("the signature is too old")
        try:
            events = msgspec.json.decode(request.body, type=list[Event])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise sdk.Malformed("this is not a list of Bulletin's events") from None
        messages, statuses = [], []
        for one in events:
            if one.type == "post" and one.id and one.person:
                person = sdk.Address("user", one.person)
                messages.append(sdk.Inbound(one.id, person, sdk.Text(one.text), sent_us=one.at_ms * 1000))
            elif one.type == "state" and one.state in STATES:
                statuses.append(sdk.Status(one.id, STATES[one.state], one.at_ms * 1000, reference=one.key))
        return sdk.Parsed(tuple(messages), tuple(statuses))

    async def send(self, account: sdk.Account, message: sdk.Outbound, tools: sdk.Tools) -> sdk.Sent:
        if not isinstance(message.content, sdk.Text) or len(message.content.text) > 500:
            raise sdk.Refused("Bulletin takes texts of up to 500 characters")
        post = {"to": message.to.value, "text": message.content.text, "key": message.id}
        headers = {"authorization": f"Bearer {account.settings.token}"}
        url = f"{account.settings.base_url}/posts"
        answer = await call(tools.http, "POST", url, json=post, headers=headers)
        try:
            return sdk.Sent((msgspec.json.decode(expect(answer, "Bulletin").content, type=Event).id,))
        except (msgspec.MsgspecError, ValueError):
            raise sdk.OutcomeUnknown("Bulletin took it and gave no id") from None
