"""Whether a machine wrote a mail: then nothing of ours may answer by itself, or two machines answer for ever.

RFC 3834 says how a program that answers should tell (Auto-Submitted) and whom it must not answer (lists, bulk, the
null path). The rest is what programs do that never read it.
"""

import re

from irisx_channels.email import words
from irisx_channels.email.mail import Received

_PRECEDENCE = frozenset({"bulk", "junk", "list", "auto_reply"})
_PRESENT = ("list-id", "x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-reply-from", "x-amz-bounce")
_NOBODY = re.compile(
    r"(?:mailer-daemon|postmaster|bounces?|(?:do[-_.]?)?no[t]?[-_.]?reply|notifications?)(?:[-+=].*)?",
    re.IGNORECASE,
)


def why(mail: Received) -> str:
    """What tells that a machine wrote it, empty when nothing does."""
    said = mail.first("auto-submitted").partition(";")[0].strip().lower()
    if said and said != "no":
        return f"Auto-Submitted: {said[:40]}"
    precedence = mail.first("precedence").strip().lower()
    if precedence in _PRECEDENCE:
        return f"Precedence: {precedence}"
    for name in _PRESENT:
        if mail.all(name):
            return name
    if mail.first("x-auto-response-suppress").strip().lower() not in ("", "none"):
        return "X-Auto-Response-Suppress"
    if mail.sender == "" or any(value.strip() == "<>" for value in mail.all("return-path")):
        return "null return path"
    if mail.first("content-type").strip().lower().startswith("multipart/report"):
        return "multipart/report"
    for address in words.addresses(mail.first("from"))[:1]:
        if _NOBODY.fullmatch(address.value.rpartition("@")[0]):
            return "the address of a program"
    return ""
