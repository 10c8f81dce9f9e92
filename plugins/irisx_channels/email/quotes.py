"""Which words of an answer are new: everything but the earlier mails that programs put below it.

The lines at which a quotation begins ("On … wrote:", "-----Original Message-----", in many languages) are known to
quotequail, which is kept for exactly that. Two rules of ours around it: who answers between or below the quoted lines
has said something there, so nothing is taken away; and neither is anything when no new word would be left.
"""

import quotequail

MAX_LINE = 300
"""Only the first characters of a line are looked at: some of the patterns take cubic time on what they do not match."""
WINDOW = 24
"""Lines that are given to quotequail from a suspicious one on: it tries some dozen patterns on each."""
MAX_WINDOWS = 8
_MARKED = 3
"""So many lines with ``>`` are a quotation, whatever stands before them."""


def fresh(text: str, *, subject: str = "") -> str:
    """The new words of ``text``; empty when all of it is new, or nobody can tell."""
    if subject.strip().lower().startswith(("fwd:", "fw:", "wg:", "tr:", "i:", "rv:")):
        return ""
    lines = text.split("\n")
    split = _where(lines)
    if split is None:
        return ""
    kept = "\n".join(lines[:split]).rstrip()
    return "" if not kept.strip() or _answers_below(lines[split:]) else kept


def _where(lines: list[str]) -> int | None:
    """The number of the line at which the quotation begins."""
    looked_until = windows = 0
    for number, line in enumerate(lines):
        if line.startswith(">") and all(one.startswith(">") for one in lines[number : number + _MARKED]):
            return number
        if number < looked_until or windows == MAX_WINDOWS or not _suspicious(line):
            continue
        # The line before may be its first half: "On Monday, Somebody" / "<somebody@example.org> wrote:"
        start = max(number - 1, 0)
        window = [one[:MAX_LINE].rstrip() for one in lines[start : start + WINDOW]]
        parts = quotequail.quote("\n".join(window), limit=WINDOW + 1, quote_intro_line=True)
        if len(parts) > 1:
            quoted = str(parts[1][1]).count("\n") + 1
            return start + len(window) - quoted
        if _is_head("\n".join(window[number - start :])):
            return number
        looked_until, windows = number + 1, windows + 1
    return None


def _suspicious(line: str) -> bool:
    """Whether a quotation could begin here, by a test that costs nothing."""
    line = line[:MAX_LINE].strip()
    return line.startswith((">", "---", "____")) or line.endswith((":", ">")) or ":" in line[1:20]


def _is_head(block: str) -> bool:
    """Whether it begins with the headers of another mail, as Outlook writes them: From, Sent, To, Subject."""
    found = quotequail.unwrap(block) or {}
    return "text_top" not in found and "from" in found and bool({"date", "subject"} & set(found))


def _answers_below(rest: list[str]) -> bool:
    """Whether somebody wrote between or below lines that are marked as quoted."""
    marked = [number for number, line in enumerate(rest) if line.startswith(">")]
    if not marked:
        return False
    below = rest[marked[0] :]
    until = next((number for number, line in enumerate(below) if line.rstrip() == "--"), len(below))
    return any(line.strip() and not line.startswith(">") for line in below[:until])
