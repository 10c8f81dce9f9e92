"""How FreeSWITCH takes a command line apart, in our own words, as an oracle for what our quoting must survive.

Three steps of its own sources (1.10.12): cutting at a delimiter with quotes and backslashes, cleaning each part,
and finding the closing brace by counting. Checked against a real switch with the values in `HARD_VALUES`.
"""

HARD_VALUES = (
    "it's, a \\test, with 'quotes'  ",
    '  {"k": [1,2]} ',
    "a=b=c|d;e<f>:g",
    "Zoë \\' x\\\\,y\\n",
    "100% %41 %%",
    "'",
    "\\",
    "^^:x,y",
    "''",
    "\\\\s",
    "undef",
    ",",
)
"""Each came back unchanged from a real FreeSWITCH through originate and uuid_getvar, and through uuid_setvar."""

_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "s": " "}


def clean(part: str, delimiter: str) -> str:
    """Quotes off, one level of backslashes off, blanks at the ends off unless quoted or escaped."""
    part = part.lstrip(" ")
    out: list[str] = []
    keep = 0
    quoted = False
    at = 0
    while at < len(part):
        char = part[at]
        following = part[at + 1 : at + 2]
        if char == "\\" and following:
            special = following in "'\"\\" or (delimiter != " " and following == delimiter)
            if special or following in _LETTERS:
                out.append(following if special else _LETTERS[following])
                at += 2
                keep = len(out)
                continue
        if char == "'" and (quoted or "'" in part[at + 1 :]):
            quoted = not quoted
            if quoted:
                keep = len(out)
        else:
            out.append(char)
            if char != " " or quoted:
                keep = len(out)
        at += 1
    return "".join(out[:keep])


def cut(text: str, delimiter: str, most: int) -> list[str]:
    """The parts of a text; the last of ``most`` holds the rest."""
    if text.startswith("^^") and len(text) > 3:
        text, delimiter = text[3:], text[2]
    parts: list[str] = []
    at = 0
    while at < len(text):
        if len(parts) == most - 1:
            parts.append(text[at:])
            break
        start = at
        while delimiter == " " and at < len(text) and text[at] == " ":
            at += 1
        quoted = False
        while at < len(text):
            char = text[at]
            if char == "\\":
                at += 2
                continue
            if char == "'" and (delimiter == " " or quoted or "'" in text[at + 1 :]):
                quoted = not quoted
            elif char == delimiter and not quoted:
                break
            at += 1
        parts.append(text[start:at])
        at += 1
        while delimiter == " " and at < len(text) and text[at] == " ":
            at += 1
    return [clean(part, delimiter) for part in parts]


def take_braces(text: str) -> tuple[dict[str, str], str]:
    """The variables of ``{a=b,c=d}`` in front of a text, and the text behind."""
    if not text.startswith("{"):
        return {}, text
    depth = 0
    for end, char in enumerate(text):  # noqa: B007 - used behind the loop
        depth += (char == "{") - (char == "}")
        if not depth:
            break
    else:
        raise ValueError("no closing brace")
    found = {}
    for part in cut(text[1:end], ",", 1024):
        pair = cut(part, "=", 2)
        if len(pair) == 2:
            found[pair[0]] = pair[1]
    return found, text[end + 1 :]
