"""What travels between a channel and the platform: messages, their states, and who sent them.

Everything is a frozen value. Times are microseconds since 1970 (UTC), 0 for a time nobody told. Addresses are as the
provider writes them, except telephone numbers, which are E.164 (``+4930123``).
"""

from typing import Literal

from msgspec import Struct

AddressKind = Literal["phone", "email", "user"]
"""``user`` is an id that means something to one provider only."""

State = Literal["queued", "sent", "delivered", "read", "failed", "undelivered"]
"""``failed`` never left the provider; ``undelivered`` left it and did not arrive."""

RANKS: dict[State, int] = {
    "queued": 0, "sent": 1, "undelivered": 2, "failed": 2, "delivered": 3, "read": 4,
}  # fmt: skip
"""A message's state only ever moves to a higher rank. Receipts come late, twice and in any order."""


class Address(Struct, frozen=True, omit_defaults=True):
    """One end of a message."""

    kind: AddressKind
    value: str
    name: str = ""
    """What its owner calls it: for people to read, never to compare."""


class File(Struct, frozen=True, omit_defaults=True):
    """A file that belongs to a message. Inbound it says where to get it, outbound what to read it by."""

    name: str = ""
    media_type: str = "application/octet-stream"
    size: int = 0
    """Bytes; 0 when nobody told."""
    id: str = ""
    """The provider's name for it (inbound), or the platform's (outbound: give it to `Tools.read_file`)."""
    url: str = ""
    """Where the provider keeps it. May hold a secret: never logged, never shown."""
    content: bytes | None = None
    """The file itself, where the provider sends it along."""


class Text(Struct, frozen=True, tag="text", omit_defaults=True):
    """Words. ``html`` is the same for those who can show it; it is cleaned before anybody sees it."""

    text: str
    html: str = ""
    fresh: str = ""
    """The words of ``text`` that are new, without what it quotes of earlier messages (mail); empty when all are."""


class Media(Struct, frozen=True, tag="media", omit_defaults=True):
    """A picture, sound, film or document."""

    file: File
    kind: Literal["image", "audio", "voice", "video", "document", "sticker"] = "document"
    caption: str = ""


class Template(Struct, frozen=True, tag="template", omit_defaults=True):
    """A text that the provider has approved before, with the values for its places."""

    name: str
    language: str = "en"
    values: tuple[str, ...] = ()
    header: Text | Media | None = None
    buttons: tuple[str, ...] = ()
    """Payloads of its buttons, in order."""


class Option(Struct, frozen=True, omit_defaults=True):
    """Something to choose."""

    id: str
    title: str
    description: str = ""


class Interactive(Struct, frozen=True, tag="interactive", omit_defaults=True):
    """A question with answers to choose from: buttons, or a list when ``label`` names one."""

    text: str
    options: tuple[Option, ...]
    label: str = ""
    header: str = ""
    footer: str = ""


class Choice(Struct, frozen=True, tag="choice", omit_defaults=True):
    """What somebody chose of an `Interactive` or a template's buttons."""

    id: str
    title: str = ""


class Location(Struct, frozen=True, tag="location", omit_defaults=True):
    """A place: degrees, WGS 84."""

    latitude: float
    longitude: float
    name: str = ""
    address: str = ""


class Reaction(Struct, frozen=True, tag="reaction", omit_defaults=True):
    """A sign at an earlier message (``target``, the provider's id); an empty one takes it away."""

    target: str
    emoji: str = ""


class Edit(Struct, frozen=True, tag="edit", omit_defaults=True):
    """New words for an earlier message."""

    target: str
    text: str
    html: str = ""


class Deletion(Struct, frozen=True, tag="deletion", omit_defaults=True):
    """An earlier message is taken back."""

    target: str


class Typing(Struct, frozen=True, tag="typing", omit_defaults=True):
    """Somebody is writing, or has stopped."""

    on: bool = True


class Unsupported(Struct, frozen=True, tag="unsupported", omit_defaults=True):
    """Something that came and cannot be shown here: said, never dropped. ``kind`` is the provider's word."""

    kind: str


Content = (
    Text
    | Media
    | Template
    | Interactive
    | Choice
    | Location
    | Reaction
    | Edit
    | Deletion
    | Typing
    | Unsupported
)


class Piece(Struct, frozen=True):
    """One part of a longer text that the provider hands over in parts, in any order and with time between them.

    The platform puts those with the same sender, recipient, ``group`` and ``total`` together.
    """

    group: str
    number: int
    """From 1."""
    total: int


class Inbound(Struct, frozen=True, omit_defaults=True):
    """Something that somebody sent us."""

    id: str
    """The provider's: the same delivery twice has the same one, two messages of an account never have."""
    sender: Address
    content: Content
    recipient: Address | None = None
    """Which of the account's addresses it was sent to."""
    sent_us: int = 0
    """When the provider says that it was sent."""
    thread: str = ""
    """Where an answer belongs: a chat, a channel, a thread, a mail's subject line's root."""
    reply_to: str = ""
    """The provider's id of the message that this one answers."""
    references: tuple[str, ...] = ()
    """Older ids of the same exchange, oldest first (mail)."""
    reference: str = ""
    """`Outbound.id` of the message of ours that this one answers, where it came back to us (mail). Look it up first,
    and among the same tenant's messages only: anybody can write anything there."""
    subject: str = ""
    also_to: tuple[Address, ...] = ()
    """Who else got it."""
    aliases: tuple[Address, ...] = ()
    """Other addresses that certainly belong to the sender (WhatsApp: number and user id)."""
    files: tuple[File, ...] = ()
    """What is attached besides the content."""
    context: dict[str, str] = {}
    """What the channel wants to be given when this thread is answered (Teams: the service's URL)."""
    automatic: bool = False
    """A machine wrote it (out of office, bounce): nothing may answer by itself."""
    piece: Piece | None = None
    """Set when this is only a part of what was written."""


class Status(Struct, frozen=True, omit_defaults=True):
    """What became of something that we sent."""

    id: str
    """The provider's id, as `Sent.ids` had it."""
    state: State
    at_us: int = 0
    code: str = ""
    """The provider's reason in its own words, for machines (``30007``)."""
    reason: str = ""
    permanent: bool | None = None
    """Whether trying again is pointless; None when nobody knows."""
    reference: str = ""
    """`Outbound.id`, where the provider gives it back: then a receipt may overtake the answer to the sending."""
    price: str = ""
    """A decimal number in ``currency``, exactly as told."""
    currency: str = ""
    category: str = ""
    """What the provider bills it as, in its own word (WhatsApp: ``marketing``)."""
    complaint: bool = False
    """The receiver reported it as unwanted."""
    own_fault: bool = False
    """It certainly did not arrive, by the provider's own doing (its account, its limits, its network): another provider may
    deliver it. False where the receiver is the reason, or nobody knows."""


class Preference(Struct, frozen=True, omit_defaults=True):
    """Somebody told the provider that they want no more messages from us, or want them again."""

    id: str
    sender: Address
    allowed: bool
    at_us: int = 0
    recipient: Address | None = None
    purpose: str = ""
    """What it is about (``marketing``); empty for everything."""


class Outbound(Struct, frozen=True, omit_defaults=True):
    """Something to send. Everything that a policy could forbid has been decided already."""

    id: str
    """Ours, the same at every try: give it to a provider that can recognise a repetition."""
    to: Address
    content: Content
    sender: Address | None = None
    """Which of the account's addresses to use; None for its only one."""
    thread: str = ""
    reply_to: str = ""
    references: tuple[str, ...] = ()
    subject: str = ""
    copies: tuple[Address, ...] = ()
    files: tuple[File, ...] = ()
    context: dict[str, str] = {}
    """From the last message of the thread, see `Inbound.context`."""
    last_inbound_us: int = 0
    """When this person last wrote to this account, for channels with a window."""
    status_url: str = ""
    """Where the provider may report to."""


class Sent(Struct, frozen=True, omit_defaults=True):
    """The provider has it."""

    ids: tuple[str, ...]
    """The provider's ids: one, or one for each part that will be reported on alone."""
    state: State = "sent"
    segments: int = 1
    context: dict[str, str] = {}
    """What was learned on the way and should be given again (Discord: the channel of a direct message)."""
