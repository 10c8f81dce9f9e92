"""Templates, canned replies and macros: what is written once and said often."""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.operation import Group
from api.http.patterns import whole
from api.http.problem import bad_value
from api.http.shapes import Body, Name
from api.http.shelf import Shelf, refuse
from core.clock import now_us
from core.model import content as documents
from core.model import rendering
from core.model.automation import Actions, Assign, Reply
from core.storage import acting
from core.storage import content as store
from core.storage.acting import Done, need_user
from core.storage.facts import read_situation
from irisx_sdk import segments
from irisx_sdk.messages import Text

content = Group("content", "Templates, canned replies and macros.")

Long = Annotated[str, Meta(max_length=20_000, pattern=whole(r"[^\x00]*"))]
Said = Annotated[str, Meta(min_length=1, max_length=20_000, pattern=whole(r"[^\x00]*"))]
Line = Annotated[str, Meta(max_length=300, pattern=whole(r"[^\x00-\x1f\x7f]*"))]
Family = Annotated[str, Meta(max_length=40, pattern=whole(r"([a-z][a-z0-9_]*)?"))]
Language = Annotated[str, Meta(max_length=35, pattern=whole(r"([A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*)?"))]
ShortName = Annotated[str, Meta(min_length=1, max_length=40, pattern=whole(r"[a-z0-9][a-z0-9_-]*"))]
Values = Annotated[tuple[Annotated[str, Meta(max_length=1000)], ...], Meta(max_length=30)]
ConversationId = Annotated[str, Meta(pattern=whole(r"conv_[0-9a-z]{1,40}"))]


class Kept(Struct):
    """What every document has."""

    id: str
    name: str
    version: int
    created_us: int
    updated_us: int
    created_by: str


class TemplateInfo(Kept):
    text: str
    channel: str
    language: str
    subject: str
    html: str
    provider_name: str
    provider_values: list[str]


class NewTemplate(Body):
    name: Name
    text: Said
    """With places for values: `{{contact.name|there}}`."""
    channel: Family = ""
    """For which kind of channel: `sms`, `email`; empty for all. A name is unique within channel and language."""
    language: Language = ""
    subject: Line = ""
    html: Long = ""
    """For those who can show it; values in it are escaped."""
    provider_name: Line = ""
    """The name under which a provider approved it (WhatsApp): then the values are sent instead of the text."""
    provider_values: Values = ()
    """Its values in their order, with places: `["{{contact.first_name|there}}"]`."""


class TemplateChange(Body):
    name: Name | UnsetType = UNSET
    text: Said | UnsetType = UNSET
    channel: Family | UnsetType = UNSET
    language: Language | UnsetType = UNSET
    subject: Line | UnsetType = UNSET
    html: Long | UnsetType = UNSET
    provider_name: Line | UnsetType = UNSET
    provider_values: Values | UnsetType = UNSET


class CannedReplyInfo(Kept):
    text: str
    team: str


class NewCannedReply(Body):
    name: ShortName
    """What is typed to get it: small letters, digits, `-` and `_`."""
    text: Said
    team: Line = ""
    """Whose it is; empty for everybody. A name is unique within a team."""


class CannedReplyChange(Body):
    name: ShortName | UnsetType = UNSET
    text: Said | UnsetType = UNSET
    team: Line | UnsetType = UNSET


class MacroInfo(Kept):
    actions: Actions
    description: str


class NewMacro(Body):
    name: Name
    actions: Actions
    """Done in this order, all or none."""
    description: Line = ""


class MacroChange(Body):
    name: Name | UnsetType = UNSET
    actions: Actions | UnsetType = UNSET
    description: Line | UnsetType = UNSET


class RenderTemplate(Body):
    conversation_id: ConversationId | None = None
    """Whose contact, channel and agent give the values."""
    values: dict[str, Any] = msgspec.field(default_factory=dict)
    """More of them, or instead: `{"order": {"id": "7"}}`."""
    channel_type: Annotated[str, Meta(max_length=80)] = ""
    """For which channel to count: `sms.twilio`. Without it the conversation's, or none."""


class Preview(Struct):
    """A template as it would be sent."""

    text: str
    subject: str
    html: str
    missing: list[str]
    """Places for which there is neither a value nor a default. It cannot be sent like this."""
    content: dict[str, Any]
    segments: int
    """Parts of an SMS; 0 where the channel does not count them."""
    encoding: Literal["", "gsm7", "ucs2"]
    characters: int
    too_long: bool
    """It has more characters than one message of the channel."""


class RunMacro(Body):
    conversation_id: ConversationId


class MacroReport(Struct):
    """What was done, in order."""

    conversation_id: str
    done: list[Done]


async def _check_template(ask: Ask[Any], doc: documents.Template) -> None:
    texts = (doc.text, doc.subject, doc.html, *doc.provider_values)
    wrong = [
        one for text in texts for one in re.findall(r"\{\{[^{}]*\}\}", text) if not rendering.places(one)
    ]
    refuse("/text", [f"{one} is no place for a value" for one in wrong])


async def check_actions(ask: Ask[Any], actions: Actions) -> None:
    """Raises for actions that name what is not there, or say nothing."""
    async with ask.services.database.reader(ask.tenant_id) as connection:
        for number, one in enumerate(actions):
            match one:
                case Reply(template_id="", text=text) if not text.strip():
                    raise bad_value(f"/actions/{number}", "name a template or a text")
                case Reply(template_id=template_id) if template_id:
                    await store.load(connection, ask.tenant_id, "template", template_id, documents.Template)
                case Assign(to=to):
                    await need_user(connection, ask.tenant_id, to)


async def _check_macro(ask: Ask[Any], doc: documents.Macro) -> None:
    await check_actions(ask, doc.actions)


templates = Shelf(
    content,
    kind="template",
    path="/templates",
    noun="template",
    nouns="templates",
    doc=documents.Template,
    new=NewTemplate,
    change=TemplateChange,
    info=TemplateInfo,
    read="content:read",
    write="content:write",
    about="Texts with places for values, by channel and language.",
    scope=lambda doc, actor: f"{doc.channel}/{doc.language}",
    check=_check_template,
)
canned_replies = Shelf(
    content,
    kind="canned_reply",
    path="/canned-replies",
    noun="canned reply",
    nouns="canned replies",
    doc=documents.CannedReply,
    new=NewCannedReply,
    change=CannedReplyChange,
    info=CannedReplyInfo,
    read="content:read",
    write="content:write",
    about="Texts that are put into the composer by their short names.",
    scope=lambda doc, actor: doc.team,
)
macros = Shelf(
    content,
    kind="macro",
    path="/macros",
    noun="macro",
    nouns="macros",
    doc=documents.Macro,
    new=NewMacro,
    change=MacroChange,
    info=MacroInfo,
    read="content:read",
    write="content:write",
    about="Things that are done to a conversation together.",
    check=_check_macro,
)


@content.operation(
    "POST",
    "/templates/{template_id}/render",
    permission="content:read",
    summary="Fill a template in",
    body=RenderTemplate,
    answers=Preview,
    paths=[templates.where],
    problems=[404],
    idempotency="none",
    bucket="reads",
)
async def render_template(ask: Ask[RenderTemplate]) -> Answer:
    """Nothing is sent. What has no value is reported, and parts are counted as the channel counts them."""
    values: dict[str, object] = {}
    kind = ask.body.channel_type
    async with ask.services.database.reader(ask.tenant_id) as connection:
        template = await store.load(
            connection, ask.tenant_id, "template", ask.path["template_id"], documents.Template
        )
        if ask.body.conversation_id is not None:
            situation = await read_situation(
                connection, ask.tenant_id, ask.body.conversation_id, agent=ask.actor.id, now_us=now_us()
            )
            values, kind = situation.values, kind or situation.facts["channel_type"]
    filled = documents.fill(template, {**values, **ask.body.values})
    channel = ask.services.channels.known.get(kind)
    can = channel.capabilities if channel is not None else None
    count = segments.count(filled.text) if can is not None and can.segments == "sms" else None
    preview = Preview(
        text=filled.text,
        subject=filled.subject,
        html=filled.content.html if isinstance(filled.content, Text) else "",
        missing=list(filled.missing),
        content=msgspec.to_builtins(filled.content),
        segments=count.segments if count else 0,
        encoding=count.encoding if count else "",
        characters=len(filled.text),
        too_long=can is not None and 0 < can.max_text < len(filled.text),
    )
    return json_answer(preview)


@content.operation(
    "POST",
    "/macros/{macro_id}/run",
    permission="conversations:write",
    summary="Run a macro",
    body=RunMacro,
    answers=MacroReport,
    paths=[macros.where],
    problems=[404, 409],
)
async def run_macro(ask: Ask[RunMacro]) -> Answer:
    """All of its actions in one transaction, or (409 `action_failed`, which names the one) none of them."""
    async with ask.services.database.tenant(ask.tenant_id) as connection:
        macro = await store.load(connection, ask.tenant_id, "macro", ask.path["macro_id"], documents.Macro)
        acted = await acting.act(
            connection,
            ask.tenant_id,
            ask.body.conversation_id,
            macro.actions,
            actor=ask.actor.id,
            now_us=now_us(),
            strict=True,
            request_id=ask.request_id,
        )
    for channel_id in acted.ring:
        ask.services.later(ask.services.bus.ring(channel_id))
    return json_answer(MacroReport(ask.body.conversation_id, acted.done))
