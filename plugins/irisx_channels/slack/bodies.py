"""What we ask of Slack: the bodies of requests, checked against Slack's limits before anything is sent. Pure.

Limits: docs.slack.dev, "Block Kit" reference (section 3000, header 150, button and option text 75, button value 2000,
option value 150, 100 options, 25 elements in an actions block) and "chat.postMessage" (text of 4000 at the most).
"""

from irisx_channels.lenient import Json
from irisx_channels.slack.text import escape, split_name
from irisx_sdk.errors import Refused
from irisx_sdk.messages import Edit, File, Interactive, Media, Option, Outbound, Text

MAX_TEXT = 4000
MAX_FILES = 10
_SECTION, _HEADER, _LABEL, _BUTTON_VALUE, _OPTION_VALUE = 3000, 150, 75, 2000, 150
_BUTTONS, _OPTIONS = 25, 100
ACTION = "irisx"
"""The start of our buttons' ``action_id``."""


def destination(message: Outbound) -> tuple[str, str]:
    """Channel (or person) and parent to write to; the parent is empty outside threads.

    A thread says where the answer belongs. Without one, the message that is answered does, and at last the receiver:
    Slack takes a person's id as a channel and opens the direct message itself.
    """
    if message.thread:
        return split_name(message.thread)
    if message.reply_to:
        return split_name(message.reply_to)
    return message.context.get("channel") or message.to.value, ""


def target(name: str) -> tuple[str, str]:
    """Channel and time stamp of a message that is to be changed. Raises `Refused` when it is no name of a message."""
    channel, ts = split_name(name)
    if not (channel and ts):
        raise Refused("this is no message of Slack's", code="message_not_found")
    return channel, ts


def attached(message: Outbound) -> tuple[File, ...]:
    """Every file of a message, in order. Raises `Refused` when there are too many or none may be there."""
    content = message.content
    files = (content.file, *message.files) if isinstance(content, Media) else message.files
    if len(files) > MAX_FILES:
        raise Refused(f"Slack takes {MAX_FILES} files at once", code="too_many_attachments")
    if files and isinstance(content, Interactive):
        raise Refused("Slack sends files with words, not with buttons: send them in two messages")
    return files


def words(message: Outbound) -> str:
    """The text of a message, escaped. Raises `Refused` when there is none where one is needed, or too much."""
    content = message.content
    if isinstance(content, Text | Edit):
        text = content.text
    elif isinstance(content, Media):
        text = content.caption
    elif isinstance(content, Interactive):
        text = content.text
    else:
        raise Refused(f"Slack cannot show this kind of message ({type(content).__name__})")
    if len(text) > MAX_TEXT:
        raise Refused(f"the text is longer than {MAX_TEXT} characters", code="msg_too_long")
    if not text.strip() and not isinstance(content, Media) and not message.files:
        raise Refused("there is nothing to send", code="no_text")
    return escape(text)


def post(message: Outbound) -> Json:
    """The body of ``chat.postMessage``."""
    channel, parent = destination(message)
    # What somebody typed comes out as typed: no bold by chance, no link previews, no names looked up in words.
    body: Json = {
        "channel": channel,
        "text": words(message),
        "mrkdwn": False,
        "parse": "none",
        "unfurl_links": False,
    }
    if parent:
        body["thread_ts"] = parent
    if isinstance(message.content, Interactive):
        body["blocks"] = blocks(message.content)
    return body


def update(message: Outbound, edit: Edit) -> Json:
    """The body of ``chat.update``."""
    channel, ts = target(edit.target)
    return {"channel": channel, "ts": ts, "text": words(message), "parse": "none"}


def complete(message: Outbound, files: list[tuple[str, str]], channel: str) -> Json:
    """The body of ``files.completeUploadExternal``: ids and titles of what was uploaded, and where it belongs."""
    body: Json = {"files": [{"id": id, "title": title} for id, title in files], "channel_id": channel}
    if parent := destination(message)[1]:
        body["thread_ts"] = parent
    if text := words(message):
        body["initial_comment"] = text
    return body


def blocks(question: Interactive) -> list[Json]:
    """A question as blocks: buttons, or a menu where the question names one. Raises `Refused` beyond Slack's limits."""
    options = question.options
    most = _OPTIONS if question.label else _BUTTONS
    if not options or len(options) > most:
        raise Refused(f"Slack takes 1 to {most} answers to choose from", code="invalid_blocks")
    if len({one.id for one in options}) != len(options):
        raise Refused("two answers have the same id", code="invalid_blocks")
    made: list[Json] = []
    if question.header:
        made.append({"type": "header", "text": _plain(question.header, _HEADER, "header")})
    made.append({"type": "section", "text": _plain(question.text, _SECTION, "text")})
    if question.label:
        menu: Json = {
            "type": "static_select",
            "action_id": ACTION,
            "placeholder": _plain(question.label, _LABEL, "label"),
            "options": [_option(one) for one in options],
        }
        made.append({"type": "actions", "elements": [menu]})
    else:
        made.append({"type": "actions", "elements": [_button(at, one) for at, one in enumerate(options)]})
    if question.footer:
        made.append({"type": "context", "elements": [_plain(question.footer, _SECTION, "footer")]})
    return made


def _button(at: int, option: Option) -> Json:
    _fits(option.id, _BUTTON_VALUE, "id of an answer")
    text = _plain(option.title, _LABEL, "answer")
    return {"type": "button", "action_id": f"{ACTION}:{at}", "text": text, "value": option.id}


def _option(option: Option) -> Json:
    _fits(option.id, _OPTION_VALUE, "id of an answer")
    made: Json = {"text": _plain(option.title, _LABEL, "answer"), "value": option.id}
    if option.description:
        made["description"] = _plain(option.description, _LABEL, "description")
    return made


def _plain(text: str, most: int, what: str) -> Json:
    _fits(text, most, what)
    return {"type": "plain_text", "text": text, "emoji": True}


def _fits(text: str, most: int, what: str) -> None:
    if not text:
        raise Refused(f"the {what} is empty", code="invalid_blocks")
    if len(text) > most:
        raise Refused(f"the {what} is longer than {most} characters", code="invalid_blocks")
