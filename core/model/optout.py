"""Words by which people say that they want no more messages, or want them again.

The whole message is the word, in any case, with nothing but blanks and marks around it: "stop please" is a sentence and
for a person to read. The English words are those that operators in the United States demand (CTIA messaging principles;
Twilio's newer ones included); the others are what people write in the languages that most of our users serve.
"""

from typing import Literal

from irisx_sdk.messages import Content, Text

STOP = frozenset(
    {
        "stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "opt out",
        "opt-out", "stopp", "abmelden", "arret", "arrêt", "desabo", "désabo", "baja", "alto", "parar", "sair",
        "cancelar", "annulla", "afmelden",
    }
)  # fmt: skip
START = frozenset({"start", "unstop", "subscribe", "anmelden", "alta", "inscribir"})


def wish(content: Content) -> Literal["stop", "start"] | None:
    """What somebody asks for by this message, None when it is no such word."""
    if not isinstance(content, Text) or len(content.text) > 40:
        return None
    word = " ".join(content.text.casefold().strip(" \t\r\n.!\"'*").split())
    if word in STOP:
        return "stop"
    return "start" if word in START else None
