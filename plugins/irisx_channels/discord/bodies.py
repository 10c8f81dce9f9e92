"""What we ask of Discord: the bodies of messages, checked against Discord's limits before anything is sent. Pure.

Limits: discord/discord-api-docs, "Message Resource" (content 2000, nonce 25, files 10 MiB each and 25 MiB a request),
"Component Reference" (5 rows of 5 buttons, label 80, custom_id 100; select: 25 options, label, value and description
100, placeholder 150).
"""

import hashlib

from irisx_channels.discord.text import is_snowflake, split_name
from irisx_channels.lenient import Json
from irisx_sdk.errors import Refused
from irisx_sdk.messages import Edit, File, Interactive, Media, Outbound, Text

MAX_TEXT = 2000
MAX_FILES = 10
MAX_FILE_BYTES = 10 * 2**20
MAX_TOTAL_BYTES = 25 * 2**20
_BUTTONS, _ROW, _OPTIONS = 25, 5, 25
_BUTTON, _LINE, _PLACEHOLDER = 80, 100, 150
MENU = "irisx"
"""The ``custom_id`` of our menus; a button's is the answer's own id."""


def nonce(id: str) -> str:
    """Discord's mark of a message, at most 25 characters: the same for every try at the same message."""
    return hashlib.blake2b(id.encode(), digest_size=12).hexdigest()


def target(name: str) -> tuple[str, str]:
    """Channel and id of a message that is to be changed. Raises `Refused` when it is no name of a message."""
    channel, id = split_name(name)
    if not (is_snowflake(channel) and is_snowflake(id)):
        raise Refused("this is no message of Discord's", code="10008")
    return channel, id


def attached(message: Outbound) -> tuple[File, ...]:
    """Every file of a message, in order. Raises `Refused` when there are too many."""
    content = message.content
    files = (content.file, *message.files) if isinstance(content, Media) else message.files
    if len(files) > MAX_FILES:
        raise Refused(f"Discord takes {MAX_FILES} files at once", code="50035")
    return files


def check_sizes(contents: list[bytes]) -> None:
    """Raise `Refused` when files are larger than any server takes."""
    if any(len(one) > MAX_FILE_BYTES for one in contents) or sum(map(len, contents)) > MAX_TOTAL_BYTES:
        raise Refused("Discord takes files of 10 MiB, and 25 MiB together", code="40005")


def create(message: Outbound, files: tuple[File, ...]) -> Json:
    """The body of a new message. Raises `Refused` for what Discord would not take."""
    text = words(message)
    if not text.strip() and not files:
        raise Refused("there is nothing to send", code="50006")
    body: Json = {
        "content": text,
        "nonce": nonce(message.id),
        "enforce_nonce": True,
        # Nobody is rung up by what an agent or a robot happens to write.
        "allowed_mentions": {"parse": []},
    }
    if message.reply_to:
        channel, id = split_name(message.reply_to)
        if id and channel == (message.thread or channel):
            body["message_reference"] = {"message_id": id, "fail_if_not_exists": False}
    if isinstance(message.content, Interactive):
        body["components"] = components(message.content)
    if files:
        body["attachments"] = [{"id": at, "filename": file_name(file)} for at, file in enumerate(files)]
    return body


def change(edit: Edit, message: Outbound) -> Json:
    """The body of an edit."""
    text = words(message)
    if not text.strip():
        raise Refused("there is nothing to send", code="50006")
    return {"content": text, "allowed_mentions": {"parse": []}}


def words(message: Outbound) -> str:
    """The text of a message. Raises `Refused` when it is too long or this kind has none."""
    content = message.content
    if isinstance(content, Text | Edit):
        text = content.text
    elif isinstance(content, Media):
        text = content.caption
    elif isinstance(content, Interactive):
        text = "\n".join(part for part in (content.header, content.text, content.footer) if part)
    else:
        raise Refused(f"Discord cannot show this kind of message ({type(content).__name__})")
    if len(text) > MAX_TEXT:
        raise Refused(f"the text is longer than {MAX_TEXT} characters", code="50035")
    return text


def components(question: Interactive) -> list[Json]:
    """A question's buttons in rows of five, or a menu where it names one. Raises `Refused` beyond the limits."""
    options = question.options
    most = _OPTIONS if question.label else _BUTTONS
    if not options or len(options) > most:
        raise Refused(f"Discord takes 1 to {most} answers to choose from", code="50035")
    if len({one.id for one in options}) != len(options):
        raise Refused("two answers have the same id", code="50035")
    for one in options:
        _fits(one.id, _LINE, "id of an answer")
        _fits(one.title, _LINE if question.label else _BUTTON, "answer")
        if len(one.description) > _LINE:
            raise Refused(f"the description is longer than {_LINE} characters", code="50035")
    if question.label:
        _fits(question.label, _PLACEHOLDER, "label")
        lines = [
            {"label": one.title, "value": one.id}
            | ({"description": one.description} if one.description else {})
            for one in options
        ]
        menu: Json = {"type": 3, "custom_id": MENU, "placeholder": question.label, "options": lines}
        return [{"type": 1, "components": [menu]}]
    buttons = [{"type": 2, "style": 2, "label": one.title, "custom_id": one.id} for one in options]
    return [{"type": 1, "components": buttons[at : at + _ROW]} for at in range(0, len(buttons), _ROW)]


def file_name(file: File) -> str:
    """A name that survives a form's header."""
    name = "".join(letter for letter in file.name if letter.isprintable() and letter not in '"\\/')
    return name[:100] or "file"


def _fits(text: str, most: int, what: str) -> None:
    if not text:
        raise Refused(f"the {what} is empty", code="50035")
    if len(text) > most:
        raise Refused(f"the {what} is longer than {most} characters", code="50035")
