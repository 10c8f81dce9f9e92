"""The content of a message activity, in our words: text without the bot's own name, files, a card's answer. Pure."""

from irisx_channels.lenient import Json, part, parts, words
from irisx_sdk import Choice, Content, File, Media, Text, Unsupported

DOWNLOAD = "application/vnd.microsoft.teams.file.download.info"
_TYPES = {
    "pdf": "application/pdf", "txt": "text/plain", "csv": "text/csv", "zip": "application/zip",
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "mp4": "video/mp4",
    "mp3": "audio/mpeg",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}  # fmt: skip
"""A shared file comes with the end of its name instead of a type."""
CHOICE = "irisx_choice"
"""The field of our cards that holds what was chosen."""


def message_content(activity: Json) -> tuple[Content, tuple[File, ...]]:
    """What a message says, and its files besides that."""
    text = spoken(activity)
    files = tuple(file for file in map(_file, parts(activity, "attachments")) if file is not None)
    if text:
        return Text(text, _html(activity)), files
    if (chosen := submitted(part(activity, "value"))) is not None:
        return chosen, files
    if files:
        first = files[0]
        return Media(first, "image" if first.media_type.startswith("image/") else "document"), files[1:]
    kinds = [words(one, "contentType") for one in parts(activity, "attachments")]
    if any(kind != "text/html" for kind in kinds):
        return Unsupported(next(kind for kind in kinds if kind != "text/html") or "attachment"), ()
    return Text(""), ()


def spoken(activity: Json) -> str:
    """The text without the mention of the bot that made Teams bring it; mentions of others stay as ``@Name``."""
    text = words(activity, "text")
    bot = words(part(activity, "recipient"), "id")
    for entity in parts(activity, "entities"):
        if words(entity, "type") != "mention" or not (mark := words(entity, "text")):
            continue
        mentioned = part(entity, "mentioned")
        name = words(mentioned, "name")
        mine = bot and words(mentioned, "id") == bot
        text = text.replace(mark, "" if mine else f"@{name}" if name else mark)
    # A person's mention without an entity (an outgoing webhook's own) keeps its words.
    return text.replace("<at>", "@").replace("</at>", "").replace("&nbsp;", " ").strip()


def _html(activity: Json) -> str:
    found = (one for one in parts(activity, "attachments") if words(one, "contentType") == "text/html")
    return words(next(found, {}), "content")


def _file(attachment: Json) -> File | None:
    kind, name = words(attachment, "contentType"), words(attachment, "name")
    if kind == DOWNLOAD:
        content = part(attachment, "content")
        end = (words(content, "fileType") or name.rpartition(".")[2]).lower()
        url = words(content, "downloadUrl")
        media_type = _TYPES.get(end, "application/octet-stream")
        return File(name, media_type, id=words(content, "uniqueId"), url=url) if url else None
    url = words(attachment, "contentUrl")
    if not url or kind.startswith(("application/vnd.microsoft", "text/html")):
        return None
    # (Teams writes ``image/*`` for pictures in a text: it does not know more.)
    return File(name, kind if "/" in kind else "application/octet-stream", url=url)


def submitted(value: Json) -> Content | None:
    """What was chosen on a card: of ours by its id, of others as lines."""
    if not value:
        return None
    if chosen := words(value, CHOICE):
        return Choice(chosen, words(value, "title"))
    lines = [f"{key}: {words(value, key)}" for key in value if words(value, key)]
    return Text("\n".join(lines)) if lines else None
