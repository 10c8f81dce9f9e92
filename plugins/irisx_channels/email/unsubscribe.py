"""One-click unsubscribe (RFC 8058): two headers out, one POST in.

The address in the header is the account's own webhook with a token in its query: who, for which message, and a
signature by `Settings.unsubscribe_key`, so that nobody can unsubscribe somebody else. Only a POST counts; programs that
look at every link of a mail (GET) get a page with a button. A conversation needs no such header: only mails that
answer nobody have it.
"""

import base64
import binascii
import hashlib
import hmac
from urllib.parse import parse_qs, quote

from irisx_channels.email import words
from irisx_channels.email.mail import Settings
from irisx_sdk import Address, BadSignature, Malformed, Parsed, Preference, Reply, Request

PARAMETER = "unsubscribe"
_BODY = b"List-Unsubscribe=One-Click"
_PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Unsubscribe</title><body><main><h1>No more mails?</h1><form method="post">
<input type="hidden" name="List-Unsubscribe" value="One-Click"><button>Unsubscribe</button></form></main>"""
_DONE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Unsubscribed</title>
<body><main><h1>You will get no more mails from us.</h1></main>"""
_HTML = "text/html; charset=utf-8"


def headers(webhook: str, key: str, address: str, message_id: str) -> tuple[tuple[str, str], ...]:
    """The two headers of a mail, none without a key or an address of the webhook."""
    if not key or not webhook:
        return ()
    joint = "&" if "?" in webhook else "?"
    url = f"{webhook}{joint}{PARAMETER}={quote(token(key, address, message_id), safe='.-_')}"
    return (("List-Unsubscribe", f"<{url}>"), ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))


def token(key: str, address: str, message_id: str) -> str:
    """Who and for which message, signed."""
    who = _coded(address.strip().lower())
    return f"{who}.{_coded(message_id)}.{_mac(key, who, message_id)}"


def asked(settings: Settings, request: Request) -> Parsed | None:
    """What a request to such an address means; None for every other request.

    Raises `BadSignature` for a token that is not ours, `Malformed` for a POST that is not one click.
    """
    if PARAMETER not in request.url:
        return None
    given = parse_qs(request.url.partition("?")[2].partition("#")[0]).get(PARAMETER)
    if given is None:
        return None
    address, mac = _checked(settings.unsubscribe_key, given[0])
    if request.method != "POST":
        return Parsed(reply=Reply(200, _PAGE, _HTML))
    # (a form may come urlencoded or as multipart, RFC 8058, 3.1)
    if _BODY not in request.body and not (
        b"List-Unsubscribe" in request.body and b"One-Click" in request.body
    ):
        raise Malformed("a request to unsubscribe without List-Unsubscribe=One-Click")
    wish = Preference(
        f"unsubscribe:{mac}",
        Address("email", address),
        allowed=False,
        at_us=request.received_us,
        recipient=Address("email", settings.sender),
    )
    return Parsed(preferences=(wish,), reply=Reply(200, _DONE, _HTML))


def _checked(key: str, given: str) -> tuple[str, str]:
    who, _, rest = given.partition(".")
    message, _, mac = rest.partition(".")
    try:
        address, message_id = _plain(who), _plain(message)
    except (binascii.Error, UnicodeError, ValueError):
        raise BadSignature("the address to unsubscribe is not one of ours") from None
    expected = _mac(key, who, message_id)
    if not key or not hmac.compare_digest(mac.encode(), expected.encode()) or not words.is_address(address):
        raise BadSignature("the address to unsubscribe is not one of ours")
    return address, mac


def _mac(key: str, who: str, message_id: str) -> str:
    said = f"unsubscribe\n{who}\n{message_id}".encode()
    return hmac.new(key.encode(), said, hashlib.sha256).hexdigest()[:32]


def _coded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode("utf-8", "replace")).decode().rstrip("=")


def _plain(coded: str) -> str:
    return base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
