"""Signing in and out, and the short-lived tokens for live streams.

Browsers get the refresh token as a cookie that scripts cannot read and that is sent to `/v1/auth` only; programs
ask for it in the body (``"grant": "token"``). Access tokens are always in the body and live ten minutes.
"""

from http.cookies import SimpleCookie
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from api.http.answer import Answer, encode, json_answer
from api.http.ask import Ask
from api.http.operation import PUBLIC, SIGNED_IN, Group
from api.http.problem import Invalid
from api.http.shapes import Body, Email, Password
from core.access.actors import Actor
from core.access.service import SignedIn
from core.access.tokens import REALTIME_S
from core.errors import NotAuthenticated

auth = Group("auth", "Sign in, stay signed in, sign out; tokens for live streams.")

COOKIE = "irisx_refresh"
COOKIE_PATH = "/v1/auth"


class Login(Body):
    email: Email
    password: Password
    grant: Literal["cookie", "token"] = "cookie"
    """`cookie`: the refresh token comes as a cookie, for browsers. `token`: it comes in the body, for programs."""


class Refresh(Body):
    refresh_token: Annotated[str, Meta(max_length=200)] | None = None
    """The refresh token; without it the cookie counts."""


class Logout(Body):
    everywhere: bool = False
    """All sessions of the user, not only this one."""
    refresh_token: Annotated[str, Meta(max_length=200)] | None = None


class PasswordChange(Body):
    present: Password
    wanted: Password


class Myself(Struct):
    """Who is signed in and what they may do."""

    kind: Literal["user", "key"]
    id: str
    name: str
    email: str
    tenant_id: str
    """Where they belong."""
    acting_in: str
    """The tenant that this request is about: an operator may name another one."""
    operator: bool
    roles: list[str]
    permissions: list[str]
    session_id: str


class Tokens(Struct, omit_defaults=True):
    """A fresh access token, and how to get the next one."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    """Seconds."""
    user: Myself
    refresh_token: str = ""
    """Only when asked for with `"grant": "token"`."""
    refresh_expires_in: int = 0


class RealtimeToken(Struct):
    """A token for opening a live stream: use it at once."""

    token: str
    expires_in: int
    """Seconds."""
    tenant_id: str


def myself(actor: Actor, tenant_id: str) -> Myself:
    return Myself(
        kind="key" if actor.is_key else "user",
        id=actor.id,
        name=actor.name,
        email=actor.email,
        tenant_id=actor.tenant_id,
        acting_in=tenant_id,
        operator=actor.operator,
        roles=list(actor.roles),
        permissions=sorted(actor.permissions),
        session_id=actor.session_id,
    )


@auth.operation(
    "POST",
    "/auth/login",
    permission=PUBLIC,
    summary="Sign in",
    body=Login,
    answers=Tokens,
    problems=[401, 429],
)
async def login(ask: Ask[Login]) -> Answer:
    """Opens a session. 401 does not tell whether the address is known; after some failures 429 says how long to
    wait."""
    signed_in = await ask.services.access.login(
        ask.body.email,
        ask.body.password,
        address=ask.services.address_of(ask.scope),
        user_agent=ask.header(b"user-agent"),
    )
    return _tokens(ask, signed_in, in_body=ask.body.grant == "token")


@auth.operation(
    "POST",
    "/auth/refresh",
    permission=PUBLIC,
    summary="Get the next access token",
    body=Refresh,
    body_optional=True,
    answers=Tokens,
    problems=[401],
)
async def refresh(ask: Ask[Refresh | None]) -> Answer:
    """Every refresh token works once. When an old one comes again, its whole session is ended: either the owner or
    a thief has the newer one, and nobody can tell which."""
    in_body = ask.body is not None and ask.body.refresh_token is not None
    text = ask.body.refresh_token if in_body and ask.body is not None else _cookie(ask)
    if not text:
        raise NotAuthenticated("there is no refresh token", code="no_refresh_token")
    return _tokens(ask, await ask.services.access.refresh(text), in_body=in_body)


@auth.operation(
    "POST",
    "/auth/logout",
    permission=PUBLIC,
    summary="Sign out",
    body=Logout,
    body_optional=True,
    knows_actor=True,
    problems=[401],
)
async def logout(ask: Ask[Logout | None]) -> Answer:
    """Ends the session of the access token, or of the refresh token when the other has expired already. Takes the
    cookie away. 204 also when there was nothing to end."""
    access, actor = ask.services.access, ask.someone
    everywhere = ask.body is not None and ask.body.everywhere
    text = (ask.body.refresh_token if ask.body is not None else None) or _cookie(ask)
    if actor is not None and not actor.is_key:
        await access.logout(actor, everywhere=everywhere)
    elif everywhere:
        raise NotAuthenticated("signing out everywhere needs an access token", code="no_credential")
    if text:
        await access.logout_by_refresh(text)
    return Answer(204, headers=[(b"set-cookie", _set_cookie(ask, "", 0))])


@auth.operation(
    "GET", "/auth/session", permission=SIGNED_IN, summary="Who am I, and what may I do", answers=Myself
)
async def get_session(ask: Ask[None]) -> Answer:
    """Works for people and for keys."""
    return json_answer(myself(ask.actor, ask.tenant_id))


@auth.operation(
    "POST",
    "/auth/password",
    permission=SIGNED_IN,
    summary="Change the own password",
    body=PasswordChange,
    problems=[409, 429],
    idempotency="none",
)
async def change_password(ask: Ask[PasswordChange]) -> Answer:
    """All other sessions of the user end."""
    actor, access = ask.need_person(), ask.services.access
    await access.change_password(
        actor, present=ask.body.present, wanted=ask.body.wanted, address=ask.services.address_of(ask.scope)
    )
    return Answer(204)


@auth.operation(
    "POST",
    "/auth/tokens/realtime",
    permission="events:read",
    summary="Get a token for a live stream",
    answers=RealtimeToken,
    status=201,
    idempotency="none",
)
async def create_realtime_token(ask: Ask[None]) -> Answer:
    """For the first message on `/v1/stream`: browsers cannot send headers with a WebSocket, and a token in an
    address ends up in logs."""
    token = ask.services.access.realtime_token(ask.actor, ask.tenant_id)
    return json_answer(RealtimeToken(token, REALTIME_S, ask.tenant_id), 201)


def _tokens(ask: Ask[Any], signed_in: SignedIn, *, in_body: bool) -> Answer:
    tokens = Tokens(
        access_token=signed_in.access_token,
        token_type="Bearer",  # noqa: S106  # the kind of token, not a password
        expires_in=signed_in.access_s,
        user=myself(signed_in.actor, signed_in.actor.tenant_id),
    )
    if in_body:
        tokens.refresh_token = signed_in.refresh_token
        tokens.refresh_expires_in = signed_in.refresh_s
        return Answer(200, encode(tokens))
    cookie = _set_cookie(ask, signed_in.refresh_token, signed_in.refresh_s)
    return Answer(200, encode(tokens), headers=[(b"set-cookie", cookie)])


def _set_cookie(ask: Ask[Any], value: str, seconds: int) -> bytes:
    secure = "; Secure" if ask.services.is_secure(ask.scope) else ""
    return (
        f"{COOKIE}={value}; Path={COOKIE_PATH}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    ).encode()


def _cookie(ask: Ask[Any]) -> str:
    """The refresh token in the cookie. Only a page of ours may make a browser send it (SameSite does most of it)."""
    text = ask.header(b"cookie")
    if COOKIE not in text:
        return ""
    if not ask.services.is_own_origin(ask.scope):
        raise Invalid("the cookie was sent from another site's page", code="bad_origin")
    morsel = SimpleCookie(text).get(COOKIE)
    return morsel.value if morsel is not None else ""
