"""`irisx login` and `irisx logout`: an API key of one's own for this machine, in a file that only its owner reads.

A key, not a session: refresh tokens change with every use, and two commands at once would end the session.
"""

import getpass
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from api.commands import profile
from api.commands.client import Client, Refused
from api.commands.common import Failure, Json, say, show_json
from api.commands.profile import Profile

KEY_DAYS = 90


def login(
    url: Annotated[str, typer.Option(envvar="IRISX_URL", help="Where IRISX answers.")] = "",
    email: Annotated[str, typer.Option(help="Who signs in; asked for when it is not given.")] = "",
    key: Annotated[
        bool, typer.Option("--key", help="Ask for an existing API key instead of a password.")
    ] = False,
    tenant: Annotated[str, typer.Option(help="For operators: the tenant to act in.")] = "",
    days: Annotated[
        int, typer.Option(min=1, max=3650, help="How long the key of this machine lasts.")
    ] = KEY_DAYS,
    as_json: Json = False,
) -> None:
    """Sign in on this machine: makes an API key of yours and keeps it in a file that only you can read.

    The password is asked for, or read from standard input when that is not a terminal.
    """
    before = profile.stored()
    who = Profile(url=(url or before.url).rstrip("/"), tenant=tenant)
    if key:
        who.key = _secret("API key: ")
        _check(who)
    else:
        who.email = email or before.email or _line("E-mail: ")
        _make_key(who, _secret(f"Password of {who.email}: "), days)
    file = profile.store(who)
    if before.key and before.key_id and before.url == who.url and before.key_id != who.key_id:
        _revoke(before)
    if as_json:
        show_json({"url": who.url, "key_id": who.key_id, "file": str(file)})
    else:
        say(f"signed in at {who.url}; the key is in {file}")


def logout(as_json: Json = False) -> None:
    """Revoke the key of this machine and forget it."""
    who = profile.stored()
    if not who.key:
        raise Failure("nobody is signed in on this machine")
    revoked = bool(who.key_id) and _revoke(who)
    profile.forget()
    if as_json:
        show_json({"revoked": revoked})
    else:
        say("signed out" if revoked else "forgotten here; the key itself was not revoked")


def _make_key(who: Profile, password: str, days: int) -> None:
    with Client(who, key="") as stranger:
        tokens = stranger.post("/auth/login", {"email": who.email, "password": password, "grant": "token"})
    user = tokens["user"]
    with Client(who, key=tokens["access_token"]) as person:
        try:
            made = person.post(
                "/api-keys",
                {
                    "name": f"irisx on {os.uname().nodename} ({getpass.getuser()})"[:120],
                    "scopes": user["permissions"],
                    "expires_at": (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="seconds"),
                    "all_tenants": bool(user["operator"]),
                },
            )
        except Refused as refused:
            if refused.code != "not_allowed":
                raise
            raise Failure(
                "your role may not make API keys: have one made for you, and irisx login --key"
            ) from refused
        finally:
            person.post("/auth/logout", {"refresh_token": tokens["refresh_token"]})
    who.key, who.key_id = made["secret"], made["key"]["id"]


def _check(who: Profile) -> None:
    with Client(who) as client:
        session = client.get("/auth/session")
    who.key_id = session["id"] if session["kind"] == "key" else ""


def _revoke(who: Profile) -> bool:
    try:
        with Client(who) as client:
            client.delete(f"/api-keys/{who.key_id}")
    except Failure:
        return False
    return True


def _secret(prompt: str) -> str:
    text = getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline()
    if not (text := text.strip("\r\n")):
        raise Failure("nothing was typed", exit_code=2)
    return text


def _line(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise Failure("--email is missing", exit_code=2)
    return input(prompt).strip()
