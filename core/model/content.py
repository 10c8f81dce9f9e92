"""What a tenant writes once and uses often: templates, canned replies, macros, labels, views, promises. Pure values.

Each is stored as such a document (`core.storage.content`) beside its name. What is allowed in them the API checks; `Struct`s
here also read documents of older versions, so members are only ever added, with a default.
"""

from typing import Literal

from msgspec import Struct

from core.model import rendering
from core.model.automation import Action, Condition
from core.model.rendering import Rendered
from core.model.servicelevel import Targets
from irisx_sdk.messages import Content, Text
from irisx_sdk.messages import Template as Approved

Kind = Literal["label", "view", "template", "canned_reply", "macro", "rule", "sla_policy", "schedule"]

PREFIXES: dict[Kind, str] = {
    "label": "lbl",
    "view": "viw",
    "template": "tpl",
    "canned_reply": "can",
    "macro": "mac",
    "rule": "rul",
    "sla_policy": "sla",
    "schedule": "sch",
}
"""What ids begin with."""


class Label(Struct, frozen=True):
    """A word that conversations carry."""

    color: str = ""
    description: str = ""


class View(Struct, frozen=True):
    """A list of conversations that somebody looks at often."""

    filter: str = ""
    """As in the address of the list: ``state[eq]=open&assignee[eq]=usr_…``."""
    shared: bool = True


class Template(Struct, frozen=True):
    """A text with places for values."""

    text: str
    channel: str = ""
    """For which kind of channel (``sms``, ``email``); empty for all."""
    language: str = ""
    subject: str = ""
    html: str = ""
    provider_name: str = ""
    """The name under which a provider approved it: then its values are sent and not its text."""
    provider_values: tuple[str, ...] = ()
    """Texts with places: the provider's values, in their order."""


class CannedReply(Struct, frozen=True):
    """A text that is put into the composer by its short name."""

    text: str
    team: str = ""


class Macro(Struct, frozen=True):
    """Things that are done together."""

    actions: tuple[Action, ...]
    description: str = ""


class SlaPolicy(Struct, frozen=True):
    """A promise, and to which conversations it is made: the first enabled one (by position) whose conditions hold."""

    targets: Targets
    schedule_id: str = ""
    """In whose hours it is counted; empty: always."""
    all: tuple[Condition, ...] = ()
    enabled: bool = True
    position: int = 0


class Filled(Struct, frozen=True):
    """A template with its values, ready to be sent."""

    content: Content
    text: str
    subject: str
    missing: tuple[str, ...]


def fill(template: Template, values: dict[str, object]) -> Filled:
    """Put ``values`` in."""
    text, subject = rendering.render(template.text, values), rendering.render(template.subject, values)
    html = rendering.render(template.html, values, html=True)
    found: list[Rendered] = [text, subject, html]
    content: Content = Text(text.text, html=html.text)
    if template.provider_name:
        parts = [rendering.render(one, values) for one in template.provider_values]
        found = [*parts, text]
        content = Approved(
            template.provider_name, template.language or "en", tuple(one.text for one in parts)
        )
    missing = dict.fromkeys(path for one in found for path in one.missing)
    return Filled(content, text.text, subject.text, tuple(missing))
