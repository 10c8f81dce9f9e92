"""Which request sends which message to Teams; what Teams would refuse is refused here. Pure."""

import base64
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Struct

from irisx_channels.lenient import Json
from irisx_channels.teams.codec import name_of
from irisx_channels.teams.contents import CHOICE
from irisx_sdk import Deletion, Edit, File, Interactive, Media, Outbound, Refused, Text, Typing

MAX_TEXT = 20_000
"""Characters. Teams takes about 100 KB for a whole message of a bot, names and marks included."""
MAX_ACTIVITY = 250_000
"""Bytes; above 262,144 the service answers MessageSizeTooBig."""
MAX_PICTURE = 150 << 10
"""Bytes of a picture inside a message: a third more in base64."""
MAX_FILES = 10
MAX_BUTTONS = 6
"""Of a card's buttons Teams shows so many; more answers become a list to choose from."""
CARD = "application/vnd.microsoft.card.adaptive"


class Ask(Struct, frozen=True):
    """A request to the service, below its URL."""

    method: str
    path: str
    activity: Json | None = None


def conversation_of(message: Outbound) -> str:
    """Where to write to, empty when there is no conversation with this person yet."""
    return message.thread or message.context.get("conversation_id", "")


def check(message: Outbound) -> None:
    """Raise `Refused` for what Teams would refuse, before anything is asked."""
    content = message.content
    if message.context.get("one_way"):
        raise Refused("an outgoing webhook can be answered at once only: use a bot", code="one_way")
    if not isinstance(content, Text | Media | Interactive | Edit | Deletion | Typing):
        raise Refused(f"Teams has no message of the kind {type(content).__name__.lower()}", code="kind")
    if isinstance(content, Text) and not content.text.strip() and not message.files:
        raise Refused("Teams sends no empty text", code="empty")
    if isinstance(content, Interactive) and not 0 < len(content.options) <= 100:
        raise Refused("a question has 1 to 100 answers", code="buttons")
    files = attached(message)
    if len(files) > MAX_FILES:
        raise Refused(f"at most {MAX_FILES} files a message", code="files")
    for file in files:
        if by_address(file):
            continue
        if not file.media_type.startswith("image/"):
            raise Refused("Teams takes pictures from bots, and other files only by a link", code="files")
        check_size(file.size)
    for text in (getattr(content, "text", ""), getattr(content, "caption", "")):
        if len(text) > MAX_TEXT:
            raise Refused(f"at most {MAX_TEXT} characters, this has {len(text)}", code="MessageSizeTooBig")


def check_size(size: int) -> None:
    """Raise `Refused` for a picture that is too big."""
    if size > MAX_PICTURE:
        raise Refused(
            f"Teams takes pictures of at most {MAX_PICTURE >> 10} KB from bots", code="MessageSizeTooBig"
        )


def attached(message: Outbound) -> tuple[File, ...]:
    """Every file of a message."""
    own = (message.content.file,) if isinstance(message.content, Media) else ()
    return own + message.files


def by_address(file: File) -> bool:
    """Whether Teams is to show this file from where it is: a public https address, and nothing that we hold."""
    return not file.id and file.content is None and urlsplit(file.url).scheme == "https"


def ask(message: Outbound, conversation: str, pictures: dict[int, bytes]) -> Ask:
    """The request that sends ``message``; ``pictures`` are the contents of its files by their place."""
    content = message.content
    place = f"/v3/conversations/{quote(conversation, safe='')}/activities"
    if isinstance(content, Edit | Deletion):
        _, _, activity = content.target.rpartition("|")
        if not activity:
            raise Refused("this is not the name of a Teams message", code="no_message")
        path = f"{place}/{quote(activity, safe='')}"
        if isinstance(content, Deletion):
            return Ask("DELETE", path)
        return Ask("PUT", path, _activity(message, conversation) | {"id": activity} | _text(content.text))
    made = _activity(message, conversation)
    if isinstance(content, Typing):
        return Ask("POST", place, made | {"type": "typing"})
    if isinstance(content, Interactive):
        card = {"contentType": CARD, "content": _card(content)}
        made |= {"summary": content.text, "attachments": [card]}
    else:
        made |= _text(content.text if isinstance(content, Text) else getattr(content, "caption", ""))
        if files := attached(message):
            made["attachments"] = [_attachment(file, pictures.get(at, b"")) for at, file in enumerate(files)]
    answered = _answered(message, conversation)
    if answered:
        place, made["replyToId"] = f"{place}/{quote(answered, safe='')}", answered
    size = len(msgspec.json.encode(made))
    if size > MAX_ACTIVITY:
        raise Refused(f"the message has {size} bytes, Teams takes {MAX_ACTIVITY}", code="MessageSizeTooBig")
    return Ask("POST", place, made)


def conversation(message: Outbound, tenant: str, bot: str) -> Json:
    """The body that opens the conversation with a person: the same one every time."""
    tenant = message.context.get("tenant_id", "") or tenant
    more = {"tenantId": tenant, "channelData": {"tenant": {"id": tenant}}} if tenant else {}
    return {"bot": {"id": bot}, "members": [{"id": message.to.value}], "isGroup": False} | more


def _activity(message: Outbound, conversation: str) -> Json:
    bot = message.context.get("bot_id", "")
    made: Json = {
        "type": "message",
        "conversation": {"id": conversation},
        "recipient": {"id": message.to.value},
    }
    return made | ({"from": {"id": bot}} if bot else {})


def _text(text: str) -> Json:
    # Plain: what an agent writes is words, not markup.
    return {"text": text, "textFormat": "plain"} if text else {}


def _answered(message: Outbound, conversation: str) -> str:
    """The activity that this one answers, if it is in the same conversation."""
    _, _, activity = message.reply_to.rpartition("|")
    return activity if activity and message.reply_to == name_of(conversation, activity) else ""


def _attachment(file: File, content: bytes) -> Json:
    if by_address(file):
        return {"contentType": file.media_type, "contentUrl": file.url, "name": file.name}
    url = f"data:{file.media_type};base64,{base64.b64encode(content).decode()}"
    return {"contentType": file.media_type, "contentUrl": url, "name": file.name}


def _card(content: Interactive) -> Json:
    body: list[Json] = []
    if content.header:
        body.append({"type": "TextBlock", "text": content.header, "weight": "Bolder", "wrap": True})
    body.append({"type": "TextBlock", "text": content.text, "wrap": True})
    if len(content.options) <= MAX_BUTTONS and not content.label:
        actions: list[Json] = [
            {"type": "Action.Submit", "title": one.title, "data": {CHOICE: one.id, "title": one.title}}
            for one in content.options
        ]
    else:
        choices = [{"title": one.title, "value": one.id} for one in content.options]
        label = content.label or "OK"
        body.append(
            {"type": "Input.ChoiceSet", "id": CHOICE, "choices": choices, "isRequired": True, "label": label}
        )
        actions = [{"type": "Action.Submit", "title": label}]
    if content.footer:
        body.append({"type": "TextBlock", "text": content.footer, "isSubtle": True, "wrap": True})
    schema = "http://adaptivecards.io/schemas/adaptive-card.json"
    return {"$schema": schema, "type": "AdaptiveCard", "version": "1.4", "body": body, "actions": actions}
