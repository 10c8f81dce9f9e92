"""What Meta sends us, read: the handshake, the signature, messages, statuses, preferences, answers. Pure.

One delivery may hold several entries, changes and messages; each is read by itself. What has an id and a sender always
becomes a message, if only an `Unsupported` one; what has not makes the delivery `Malformed` when nothing else is in it.
"""

import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qs, urlsplit

from irisx_channels.lenient import Json, document, part, parts, seconds_us, whole, words
from irisx_channels.whatsapp.contents import content
from irisx_channels.whatsapp.failures import failure, meaning
from irisx_channels.whatsapp.people import Person, address, person, phone
from irisx_sdk import (
    BadSignature,
    Inbound,
    Malformed,
    OutcomeUnknown,
    Parsed,
    Preference,
    Reply,
    Sent,
    State,
    Status,
)
from irisx_sdk.messages import Unsupported

STATES: dict[str, State] = {
    "sent": "sent", "delivered": "delivered", "read": "read", "played": "read", "failed": "failed",
    "accepted": "queued", "held_for_quality_assessment": "queued",
}  # fmt: skip


def signature(app_secret: str, body: bytes) -> str:
    """The value of ``X-Hub-Signature-256`` for these very bytes.

    Meta escapes everything beyond ASCII (``\\u00eb``) before it signs; a body that was read and written again has
    another signature.
    """
    return "sha256=" + hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()


def check_signature(app_secret: str, body: bytes, given: str) -> None:
    """Raise `BadSignature` unless ``given`` is right. It holds no time: only ids tell a repetition."""
    if not hmac.compare_digest(signature(app_secret, body).encode(), given.strip().encode()):
        raise BadSignature("X-Hub-Signature-256 is not from this app")


def handshake(verify_token: str, url: str) -> Reply:
    """The answer to Meta's question whether this address is ours. Raises `BadSignature` for another's question."""
    query = parse_qs(urlsplit(url).query)
    token = query.get("hub.verify_token", [""])[0]
    if query.get("hub.mode") != ["subscribe"] or not verify_token:
        raise BadSignature("this is not Meta's question about an address")
    if not hmac.compare_digest(token.encode(), verify_token.encode()):
        raise BadSignature("hub.verify_token is not the one of this account")
    return Reply(body=query.get("hub.challenge", [""])[0].encode())


def parse(body: bytes) -> Parsed:
    """Everything in a delivery whose signature has been checked. Raises `Malformed`."""
    found = document(body)
    messages: list[Inbound] = []
    statuses: list[Status] = []
    preferences: list[Preference] = []
    unread = 0
    for value in (
        part(change, "value") for entry in parts(found, "entry") for change in parts(entry, "changes")
    ):
        people = [one for one in map(person, parts(value, "contacts")) if one.addresses]
        for message in parts(value, "messages"):
            read = _message(message, value, people)
            if read is None:
                unread += 1
            else:
                messages.append(read)
        for status in parts(value, "statuses"):
            told = _status(status)
            if told is None:
                unread += 1
            else:
                statuses.append(told)
        preferences += [_preference(wish, value) for wish in parts(value, "user_preferences")]
    if words(found, "object") != "whatsapp_business_account":
        raise Malformed("this is not about a WhatsApp business account")
    if unread and not messages and not statuses:
        raise Malformed("a message or status has no id, no sender or no known state")
    return Parsed(tuple(messages), tuple(statuses), tuple(preferences))


def _message(message: Json, value: Json, people: list[Person]) -> Inbound | None:
    who = _sender(message, people)
    name = words(message, "id")
    if who is None or not name:
        return None
    metadata = part(value, "metadata")
    number = words(metadata, "display_phone_number")
    body, files = content(message)
    context = {"message_id": name, "phone_number_id": words(metadata, "phone_number_id")}
    return Inbound(
        id=name,
        sender=who.addresses[0],
        aliases=who.addresses[1:],
        content=body,
        files=files,
        recipient=phone(number) if number else None,
        sent_us=seconds_us(message, "timestamp"),
        thread=words(message, "group_id"),
        reply_to=words(part(message, "context"), "id"),
        context={key: text for key, text in context.items() if text},
        automatic=isinstance(body, Unsupported) and words(message, "type") in ("system", "request_welcome"),
    )


def _sender(message: Json, people: list[Person]) -> Person | None:
    """Who wrote: the ids in the message, and what the list of contacts beside it knows of the same person."""
    system = part(message, "system")
    ids = [
        words(message, "from"),
        words(message, "from_user_id"),
        # Of somebody who moved to another number or id: both are theirs.
        *(words(system, key) for key in ("wa_id", "previous_user_id", "user_id")),
    ]
    mine = [one for one in ids if one]
    known = next((one for one in people if one.is_any_of(mine)), None)
    if known is None and not mine and len(people) == 1:
        known = people[0]
    if known is not None:
        return known.also(mine)
    return Person.of("", mine) if mine else None


def _status(status: Json) -> Status | None:
    name = words(status, "id")
    state = STATES.get(words(status, "status"))
    if not name or state is None:
        return None
    error = next(iter(parts(status, "errors")), {})
    code = whole(error, "code")
    known = meaning(code) if error else None
    if known is not None and known.kind == "unreached" and state == "failed":
        state = "undelivered"
    return Status(
        id=name,
        state=state,
        at_us=seconds_us(status, "timestamp"),
        code=str(code) if error else "",
        reason=known.text if known else words(error, "title"),
        permanent=known.permanent if known else None,
        reference=words(status, "biz_opaque_callback_data"),
        category=words(part(status, "pricing"), "category"),
    )


def _preference(wish: Json, value: Json) -> Preference:
    who = words(wish, "wa_id") or words(wish, "user_id")
    number = words(part(value, "metadata"), "display_phone_number")
    category = words(wish, "category")
    return Preference(
        id=f"{who}:{category}:{words(wish, 'timestamp')}",
        sender=address(who),
        allowed=words(wish, "value") == "resume",
        at_us=seconds_us(wish, "timestamp"),
        recipient=phone(number) if number else None,
        purpose=category.removesuffix("_messages"),
    )


def sent(status: int, body: bytes, wait_s: float | None) -> Sent:
    """Read the answer to a message. Accepted means queued: whether it left is told by a status."""
    found = _success(status, body, wait_s)
    ids = tuple(name for name in (words(one, "id") for one in parts(found, "messages")) if name)
    if not ids:
        raise OutcomeUnknown("WhatsApp accepted the message and gave it no id")
    return Sent(ids=ids, state="queued")


def uploaded(status: int, body: bytes, wait_s: float | None) -> str:
    """Read the answer to an upload: the file's id."""
    name = words(_success(status, body, wait_s), "id")
    if not name:
        raise OutcomeUnknown("WhatsApp took the file and gave it no id")
    return name


def _success(status: int, body: bytes, wait_s: float | None) -> dict[str, Any]:
    if status != 200:
        raise failure(status, body, wait_s)
    try:
        return document(body)
    except Malformed:
        raise OutcomeUnknown("WhatsApp's answer cannot be read") from None
