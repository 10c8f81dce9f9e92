"""All that a plugin imports. See the guide in ``docs/plugins/``."""

from irisx_sdk.channel import Account, Capabilities, Channel, Deliver, Parsed, Reply, Request, Tools, secret
from irisx_sdk.errors import (
    BadSignature,
    ChannelError,
    Malformed,
    Misconfigured,
    NeedsKey,
    NotSent,
    OutcomeUnknown,
    Refused,
    Throttled,
)
from irisx_sdk.hooks import Hooks, hook, manager
from irisx_sdk.messages import (
    RANKS,
    Address,
    Choice,
    Content,
    Deletion,
    Edit,
    File,
    Inbound,
    Interactive,
    Location,
    Media,
    Option,
    Outbound,
    Piece,
    Preference,
    Reaction,
    Sent,
    State,
    Status,
    Template,
    Text,
    Typing,
    Unsupported,
)

__all__ = [
    "RANKS", "Account", "Address", "BadSignature", "Capabilities", "Channel", "ChannelError", "Choice", "Content",
    "Deletion", "Deliver", "Edit", "File", "Hooks", "Inbound", "Interactive", "Location", "Malformed", "Media",
    "Misconfigured", "NeedsKey", "NotSent", "Option", "Outbound", "OutcomeUnknown", "Parsed", "Piece", "Preference", "Reaction",
    "Refused", "Reply", "Request", "Sent", "State", "Status", "Template", "Text", "Throttled", "Tools", "Typing",
    "Unsupported", "hook", "manager", "secret",
]  # fmt: skip
