"""What the Bot API's refusals mean. They have an HTTP status and a sentence; the sentence decides. Pure.

The sentences are those of the Bot API's server (tdlib/telegram-bot-api, 2026), compared in lower case by their
beginning or middle; ours are for the person who has to do something.
"""

from msgspec import Struct

from irisx_channels.lenient import document, part, whole, words
from irisx_sdk import ChannelError, Malformed, Misconfigured, NotSent, OutcomeUnknown, Refused, Throttled


class Moved(Refused):
    """The group has become a supergroup with another id: nothing was sent, and it can be sent there."""

    def __init__(self, chat: str) -> None:
        super().__init__("the group has another id now", code="migrated")
        self.chat = chat


class Unchanged(Refused):
    """The message is already what it should become."""


class Gone(Refused):
    """The message to delete is not there any more."""


class WebhookActive(ChannelError):
    """Updates go to a webhook: nobody can poll."""


class _Meaning(Struct, frozen=True):
    sentence: str
    code: str
    text: str
    kind: type[ChannelError] = Refused


_MEANINGS = (
    _Meaning("user is deactivated", "deactivated", "this person's Telegram account does not exist any more"),
    _Meaning("bot was kicked", "kicked", "the bot was removed from this chat: add it again"),
    _Meaning("bot is not a member", "not_member", "the bot is not in this chat: add it"),
    _Meaning("can't initiate conversation", "not_started", "this person has to write to the bot first"),
    _Meaning("can't send messages to bots", "is_bot", "a bot cannot write to another bot"),
    _Meaning(
        "not enough rights", "no_rights", "the bot may not do this in the chat: an administrator can allow it"
    ),
    _Meaning(
        "have no rights", "no_rights", "the bot may not do this in the chat: an administrator can allow it"
    ),
    _Meaning("chat not found", "no_chat", "there is no such chat, or its person never wrote to the bot"),
    _Meaning("text is empty", "empty", "Telegram sends no empty text"),
    _Meaning("is too long", "too_long", "the text is too long for Telegram"),
    _Meaning("message is not modified", "unchanged", "the message is already so", Unchanged),
    _Meaning("message to delete not found", "gone", "the message is not there any more", Gone),
    _Meaning(
        "message can't be deleted", "too_old", "Telegram lets bots delete only what is younger than 48 hours"
    ),
    _Meaning("message can't be edited", "not_editable", "this message cannot be changed"),
    _Meaning("message to edit not found", "gone", "the message is not there any more"),
    _Meaning("there is no text in the message", "no_text", "the message has no text to change"),
    _Meaning("query is too old", "too_old", "the question was answered too late"),
    _Meaning(
        "reaction_invalid", "reaction", "Telegram does not know this sign, or the chat does not allow it"
    ),
    _Meaning("message thread not found", "no_topic", "the topic of the chat was deleted"),
    _Meaning("wrong file identifier", "no_file", "Telegram does not know this file"),
    _Meaning("file is too big", "too_big", "Telegram lets bots download at most 20 MB"),
    _Meaning(
        "failed to get http url content", "no_file", "Telegram could not fetch the file from its address"
    ),
    _Meaning(
        "photo_invalid_dimensions", "photo", "the picture is too wide or too high: send it as a document"
    ),
    _Meaning("image_process_failed", "photo", "Telegram cannot read the picture: send it as a document"),
)


def failure(status: int, body: bytes, wait_s: float | None = None) -> ChannelError:
    """The error to raise for an answer without a result."""
    try:
        answer = document(body)
    except Malformed:
        return _bare(status, wait_s)
    if "error_code" not in answer:
        return _bare(status, wait_s)
    code, sentence = whole(answer, "error_code"), words(answer, "description").lower()
    parameters = part(answer, "parameters")
    if chat := words(parameters, "migrate_to_chat_id"):
        return Moved(chat)
    if code == 429:
        told = whole(parameters, "retry_after")
        return Throttled("too many messages", code="429", retry_after_s=float(told) if told > 0 else wait_s)
    if code == 409 and "webhook" in sentence:
        return WebhookActive("a webhook is set", code="409")
    if code == 409:
        return NotSent("another program asks for this bot's messages: only one may", code="409")
    if code in (401, 404):
        return Misconfigured("the bot's token is not accepted: ask @BotFather for it", code=str(code))
    if code >= 500:
        return _bare(code, wait_s)
    if "blocked by the user" in sentence:
        return Refused("this person has blocked the bot", code="blocked", opted_out=True)
    for meaning in _MEANINGS:
        if meaning.sentence in sentence:
            return meaning.kind(meaning.text, code=meaning.code)
    if code == 413:
        return Refused("the file is too big for Telegram", code="413")
    return Refused(f"Telegram refused it with {code}", code=str(code))


def _bare(status: int, wait_s: float | None) -> ChannelError:
    text = f"Telegram answered {status}"
    if status == 429:
        return Throttled(text, code="429", retry_after_s=wait_s)
    if status == 413:
        return Refused("the file is too big for Telegram", code="413")
    if status == 503:
        return NotSent(text, code="503")
    if 300 <= status < 500:
        return Misconfigured(text + ": check the token and the base address", code=str(status))
    return OutcomeUnknown(text, code=str(status))
