"""From the platform's message to a mail: who, which words, which headers, which files."""

from collections.abc import Sequence

from irisx_channels.email import cleaning, threading, unsubscribe, words
from irisx_channels.email.mail import MAX_FILE_BYTES, MAX_FILES, Attachment, Mail, Settings
from irisx_channels.email.mime import file_name
from irisx_sdk import Address, File, Media, Misconfigured, Outbound, Refused, Text, Tools

AUTOMATIC = "auto-submitted"
"""In `Outbound.context`: the value of Auto-Submitted (``auto-replied``) for a mail that nobody wrote by hand."""
_AUTOMATIC = ("auto-generated", "auto-replied", "auto-notified")


async def composed(settings: Settings, message: Outbound, tools: Tools, *, most_bytes: int) -> Mail:
    """The mail. Raises `Refused` for what no mail can carry, `Misconfigured` for a sender that is none.

    ``most_bytes``: of all files together, at this provider.
    """
    text, html, files = _words(message)
    attachments = await _read(files, tools, most_bytes)
    sender = _own(message.sender.value if message.sender is not None else settings.sender)
    reply_to = _own(settings.reply_to) if settings.reply_to else ""
    name = settings.sender_name or (message.sender.name if message.sender is not None else "")
    return Mail(
        message_id=threading.message_id(message.id, sender),
        sender=Address("email", sender, name),
        to=_receiver(message.to),
        copies=tuple(_receiver(one) for one in message.copies),
        reply_to=threading.with_token(reply_to, message.id) if reply_to else "",
        subject=_subject(message),
        text=text,
        html=html,
        in_reply_to=next(iter(threading.chain((), message.reply_to)), ""),
        references=threading.chain(message.references, message.reply_to),
        headers=_headers(settings, message),
        attachments=attachments,
        reference=message.id,
        at_us=tools.now_us(),
    )


def _own(address: str) -> str:
    found = words.wire(address) if words.is_address(address) else ""
    if not found:
        raise Misconfigured("the account's own address is not a mail address")
    return found


def _receiver(address: Address) -> Address:
    found = words.wire(address.value) if words.is_address(address.value) else ""
    if not found:
        raise Refused(
            "the receiver's address is no mail address, or one that few servers can write", code="5.1.3"
        )
    return Address("email", found, address.name)


def _words(message: Outbound) -> tuple[str, str, tuple[File, ...]]:
    content = message.content
    if isinstance(content, Text):
        return content.text or cleaning.words(content.html), content.html, message.files
    if isinstance(content, Media):
        return content.caption, "", (content.file, *message.files)
    raise Refused(f"a mail cannot carry this kind of content ({type(content).__name__.lower()})")


async def _read(files: Sequence[File], tools: Tools, most_bytes: int) -> tuple[Attachment, ...]:
    if len(files) > MAX_FILES:
        raise Refused(f"a mail has at most {MAX_FILES} files")
    read = []
    total = 0
    for file in files:
        content = file.content if file.content is not None else await tools.read_file(file.id)
        total += len(content)
        if len(content) > MAX_FILE_BYTES or total > most_bytes:
            raise Refused(f"the files are too large: {most_bytes // 1_000_000} MB together", code="5.3.4")
        kind = file.media_type if _is_media_type(file.media_type) else "application/octet-stream"
        cid = file.id.removeprefix("cid:") if file.id.startswith("cid:") else ""
        read.append(Attachment(file_name(file.name, kind), kind, content, cid))
    return tuple(read)


def _is_media_type(kind: str) -> bool:
    main, slash, sub = kind.partition("/")
    plain = (main + sub).replace("-", "").replace("+", "").replace(".", "").replace("_", "")
    return bool(slash and main and sub) and plain.isascii() and plain.isalnum() and main not in ("multipart", "message")  # fmt: skip


def _subject(message: Outbound) -> str:
    subject = words.one_line(message.subject or message.thread)[:900]
    answers = bool(message.reply_to or message.references)
    if answers and threading.root(subject) == subject:
        subject = f"Re: {subject}"
    return subject.strip() or "(no subject)"


def _headers(settings: Settings, message: Outbound) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    told = message.context.get(AUTOMATIC, "")
    if told in _AUTOMATIC:
        found.append(("Auto-Submitted", told))
    if not message.reply_to and not message.references:
        found += unsubscribe.headers(
            message.status_url, settings.unsubscribe_key, message.to.value, message.id
        )
    return tuple(found)
