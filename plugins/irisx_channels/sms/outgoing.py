"""What a text channel makes of a message to send, before the provider's own form."""

from irisx_sdk import Media, Misconfigured, Outbound, Refused, Text, segments


def text_of(content: str) -> str:
    """A text that can be written in any encoding: a lone half of a surrogate pair becomes U+FFFD."""
    return content.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace")


def words_and_files(
    message: Outbound, title: str, *, max_text: int, max_wide_text: int = 0, max_files: int = 0
) -> tuple[str, tuple[str, ...]]:
    """The text and the public addresses of the files. Raises `Refused` for everything that cannot be sent so.

    ``max_wide_text`` is the limit of texts that need UCS-2, where a provider has another one for those.
    """
    content = message.content
    files = message.files
    if isinstance(content, Text):
        text = text_of(content.text)
    elif isinstance(content, Media):
        text = text_of(content.caption)
        files = (content.file, *files)
    else:
        raise Refused(f"{title} sends text and files, nothing else", code="content")
    if max_wide_text and segments.encoding_of(text) == "ucs2":
        max_text = max_wide_text
    if len(text) > max_text:
        raise Refused(f"{title} takes at most {max_text} characters; the text has {len(text)}", code="length")
    if len(files) > max_files:
        what = f"at most {max_files} files" if max_files else "no files"
        raise Refused(f"{title} takes {what}", code="files")
    if not text and not files:
        raise Refused("an empty message is not sent", code="empty")
    if any(not file.url for file in files):
        # The provider gets the file from an address: it has to be reachable from the internet.
        raise Refused(f"{title} sends files by a public address, and this file has none", code="file address")
    return text, tuple(file.url for file in files)


def settled(value: str, name: str, title: str) -> str:
    """A setting that cannot be missing. Raises `Misconfigured`."""
    if not value:
        raise Misconfigured(f"{title}: the account has no {name}")
    return value


def segments_of(message: Outbound) -> int:
    """What a message costs as far as we can count: a text's segments, one for anything with a file."""
    if isinstance(message.content, Text) and not message.files:
        return segments.count(text_of(message.content.text)).segments
    return 1
