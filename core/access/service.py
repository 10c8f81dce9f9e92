"""Signing in and staying signed in: the one object that answers "who is this?" for an API process."""

import asyncio
import contextlib
import secrets
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from core.access import keys, tokens
from core.access.actors import Actor, Remembered, require
from core.access.passwords import Passwords, WrongPassword, check_strength
from core.access.roles import OPERATOR, total
from core.access.throttle import Throttle
from core.access.tokens import ACCESS_S, REALTIME_S, REFRESH_S, SIGNALING_S, Claims, Keyring, RefreshToken
from core.bus import Bus
from core.clock import monotonic, now_us
from core.errors import NotAuthenticated, Unavailable
from core.ids import new_id
from core.logs import get_logger
from core.storage import access_actors, access_keys, access_sessions, access_users
from core.storage.database import Database

LOG = get_logger("access")

REVOKED = "access.revoked"
"""The bus channel on which processes tell each other whom to forget."""

NOTE_USE_EACH_S = 60.0
TELL_S = 0.5
"""How long telling the others may take; without it they forget by themselves within `actors.REMEMBER_S`."""


class SignedIn(Struct, frozen=True):
    """A fresh pair of tokens."""

    actor: Actor
    access_token: str
    refresh_token: str
    session_id: str
    access_s: int = ACCESS_S
    refresh_s: int = REFRESH_S


class Access:
    """Authenticates credentials and opens, renews and ends sessions."""

    def __init__(self, database: Database, bus: Bus, secret: str, passwords: Passwords | None = None) -> None:
        """Raises `tokens.NoSecret` when the installation has none."""
        self.keyring = Keyring(secret)
        self.remembered = Remembered()
        self.passwords = passwords or Passwords()
        self._database = database
        self._bus = bus
        self._throttle = Throttle(bus.redis)
        self._used: dict[str, float] = {}
        self._unwritten: set[str] = set()

    async def start(self) -> None:
        """Listen for revocations of other processes."""
        await self._bus.hear(REVOKED, self._heard)

    def close(self) -> None:
        self.passwords.close()

    # Who is this? -----------------------------------------------------------------------------------

    async def authenticate(self, credential: str) -> Actor:
        """The actor behind an access token or an API key. Raises `NotAuthenticated`."""
        actor = self.remembered.get(credential)
        if actor is None:
            if credential.startswith(keys.PREFIX):
                actor = await self._by_key(credential)
            else:
                actor = await self._by_token(credential)
        if actor.is_key:
            self._note_use(actor.id)
        return actor

    async def authenticate_realtime(self, token: str) -> tuple[Actor, str]:
        """The actor behind a realtime token and the tenant it acts in. Raises `NotAuthenticated`."""
        claims = self.keyring.verify("realtime", token)
        return await self.reload(claims), claims.acts_in

    async def reload(self, claims: Claims) -> Actor:
        """The actor as the store knows it now. Raises `NotAuthenticated` when it is not in force any more."""
        if claims.subject.startswith("key_"):
            async with self._database.reader(claims.tenant_id) as conn:
                facts = await access_actors.key_facts(conn, claims.subject)
            return require(None if facts is None else _key_actor(facts))
        return await self._session_actor(claims.session_id, claims.tenant_id)

    async def current(self, actor: Actor) -> Actor:
        """The same actor as the store knows it now. Raises `NotAuthenticated`."""
        return await self.reload(Claims(actor.id, actor.tenant_id, actor.session_id, 0, actor.tenant_id))

    async def _by_token(self, token: str) -> Actor:
        claims = self.keyring.verify("api", token)
        moment = self.remembered.moment
        actor = await self._session_actor(claims.session_id, claims.tenant_id)
        left = claims.expires_at - now_us() / 1e6
        self.remembered.put(token, actor, moment=moment, expires_in=left + tokens.LEEWAY_S)
        return actor

    async def _session_actor(self, session_id: str, tenant_id: str) -> Actor:
        async with self._database.reader(tenant_id) as conn:
            facts = await access_actors.session_facts(conn, session_id)
        if facts is None or not facts.alive:
            raise NotAuthenticated("the session has ended; sign in again", code="session_ended")
        custom = {role: frozenset(names) for role, names in facts.custom.items()}
        return Actor(
            id=facts.user_id,
            tenant_id=facts.tenant_id,
            name=facts.name,
            email=facts.email,
            permissions=total(facts.roles, custom),
            operator=OPERATOR in facts.roles,
            limits=facts.limits,
            session_id=session_id,
            roles=tuple(facts.roles),
        )

    async def _by_key(self, text: str) -> Actor:
        parsed = keys.parse_key(text)
        if parsed is None:
            raise NotAuthenticated("this is not one of our keys", code="bad_credential")
        key_id, digest = parsed
        moment = self.remembered.moment
        async with self._database.reader("*") as conn:
            facts = await access_actors.key_facts(conn, key_id)
        known = facts is not None and tokens.same((facts.secret_hash, facts.previous_hash), digest)
        actor = require(_key_actor(facts) if known and facts is not None else None)
        self.remembered.put(text, actor, moment=moment)
        return actor

    def _note_use(self, key_id: str) -> None:
        now = monotonic()
        if now - self._used.get(key_id, -NOTE_USE_EACH_S) >= NOTE_USE_EACH_S:
            self._used[key_id] = now
            self._unwritten.add(key_id)

    async def write_uses(self) -> None:
        """Record the keys used since the last call; the caller repeats this every few seconds."""
        if not self._unwritten:
            return
        noted, self._unwritten = self._unwritten, set()
        try:
            async with self._database.system() as conn:
                await access_keys.note_key_use(conn, sorted(noted))
        except Unavailable:
            self._unwritten |= noted
            return
        old = monotonic() - NOTE_USE_EACH_S
        self._used = {key: at for key, at in self._used.items() if at > old}

    # Sessions ---------------------------------------------------------------------------------------

    async def login(self, email: str, password: str, *, address: str, user_agent: str) -> SignedIn:
        """Open a session. Raises `NotAuthenticated` (no word on whether the address is known), `TooManyAttempts`."""
        await self._throttle.enter(email, address)
        async with self._database.reader("*") as conn:
            found = await access_users.find_credentials(conn, email)
        usable = found is not None and found[0].state == "active"
        right = await self.passwords.verify(found[1] if usable and found is not None else None, password)
        if not right or found is None:
            LOG.info("a sign-in was refused", user=found[0].id if found else "unknown")
            raise NotAuthenticated("the address or the password is wrong", code="bad_login")
        user, old_hash = found
        await self._throttle.succeeded(email, address)
        fresh_hash = await self.passwords.hash(password) if self.passwords.outdated(old_hash) else None
        session_id, seed = new_id("ses"), secrets.token_bytes(32)
        async with self._database.tenant(user.tenant_id) as conn:
            await access_sessions.insert_session(
                conn,
                tenant_id=user.tenant_id,
                session_id=session_id,
                user_id=user.id,
                seed=seed,
                expires_at=_in(REFRESH_S),
                address=address[:64],
                user_agent=user_agent[:200],
            )
            await access_users.note_login(conn, user.id)
            if fresh_hash is not None:
                await access_users.update_user(conn, user.id, password_hash=fresh_hash)
        LOG.info("signed in", user=user.id, session=session_id)
        return await self._signed_in(session_id, user.tenant_id, 1, seed)

    async def refresh(self, text: str) -> SignedIn:
        """The next pair of tokens. Raises `NotAuthenticated`; an old token that comes again ends its session."""
        token = RefreshToken.parse(text)
        async with self._database.reader("*") as conn:
            family = await access_sessions.get_family(conn, token.session_id)
        if family is None or not self.keyring.is_refresh_of(token, family.seed):
            raise NotAuthenticated("this is not a refresh token", code="bad_refresh_token")
        if not family.alive:
            raise NotAuthenticated("the session has ended; sign in again", code="session_ended")
        moved = False
        if token.generation == family.generation:
            async with self._database.tenant(family.tenant_id) as conn:
                moved = await access_sessions.next_generation(
                    conn, family.id, token.generation, _in(REFRESH_S)
                )
        if not moved:
            # It was used before: either its owner or a thief has the newer one, and we cannot tell who asks.
            async with self._database.tenant(family.tenant_id) as conn:
                await access_sessions.revoke_session(conn, family.id, family.user_id, "reuse")
            await self.revoked(family.id)
            LOG.warning("a used refresh token came again; its session is ended", session=family.id)
            raise NotAuthenticated(
                "the refresh token was used before; the session is ended", code="token_reuse"
            )
        return await self._signed_in(family.id, family.tenant_id, token.generation + 1, family.seed)

    async def _signed_in(self, session_id: str, tenant_id: str, generation: int, seed: bytes) -> SignedIn:
        moment = self.remembered.moment
        actor = await self._session_actor(session_id, tenant_id)
        access_token = self.keyring.sign(
            "api", subject=actor.id, tenant_id=tenant_id, session_id=session_id, seconds=ACCESS_S
        )
        self.remembered.put(access_token, actor, moment=moment)
        refresh_token = self.keyring.refresh_token(session_id, generation, seed)
        return SignedIn(actor, access_token, refresh_token, session_id)

    async def change_password(self, actor: Actor, *, present: str, wanted: str, address: str) -> None:
        """Change the actor's own password; all their other sessions end.

        Raises `WrongPassword`, `WeakPassword`, `TooManyAttempts`: a stolen session must not be a place to guess.
        """
        await self._throttle.enter(actor.id, address)
        async with self._database.reader(actor.tenant_id) as conn:
            stored = await access_users.password_hash_of(conn, actor.id)
        if not await self.passwords.verify(stored, present):
            raise WrongPassword("the present password is not right")
        await self._throttle.succeeded(actor.id, address)
        check_strength(wanted, email=actor.email)
        fresh = await self.passwords.hash(wanted)
        async with self._database.tenant(actor.tenant_id) as conn:
            await access_users.update_user(conn, actor.id, password_hash=fresh)
            ended = await access_sessions.revoke_sessions_of(conn, actor.id, "password", but=actor.session_id)
        for session_id in ended:
            await self.revoked(session_id)

    async def logout(self, actor: Actor, *, everywhere: bool = False) -> None:
        """End the actor's session, or all sessions of its user."""
        async with self._database.tenant(actor.tenant_id) as conn:
            if everywhere:
                await access_sessions.revoke_sessions_of(conn, actor.id, "logout")
            else:
                await access_sessions.revoke_session(conn, actor.session_id, actor.id, "logout")
        await self.revoked(actor.id if everywhere else actor.session_id)

    async def logout_by_refresh(self, text: str) -> None:
        """End the session that a refresh token belongs to; nothing when it is none of ours."""
        try:
            token = RefreshToken.parse(text)
        except NotAuthenticated:
            return
        async with self._database.reader("*") as conn:
            family = await access_sessions.get_family(conn, token.session_id)
        if family is None or not self.keyring.is_refresh_of(token, family.seed):
            return
        async with self._database.tenant(family.tenant_id) as conn:
            await access_sessions.revoke_session(conn, family.id, family.user_id, "logout")
        await self.revoked(family.id)

    def realtime_token(self, actor: Actor, tenant_id: str) -> str:
        """A token for opening a live stream within the next minute."""
        return self.keyring.sign(
            "realtime",
            subject=actor.id,
            tenant_id=actor.tenant_id,
            session_id=actor.session_id,
            seconds=REALTIME_S,
            acts_in=tenant_id,
        )

    def signaling_token(self, actor: Actor, tenant_id: str) -> str:
        """A token for connecting an agent's browser to a controller within the next minute."""
        return self.keyring.sign(
            "signaling",
            subject=actor.id,
            tenant_id=actor.tenant_id,
            session_id=actor.session_id,
            seconds=SIGNALING_S,
            acts_in=tenant_id,
        )

    # Revocation -------------------------------------------------------------------------------------

    async def revoked(self, whom: str) -> None:
        """Forget a user, key, session or tenant here and in every other process. Call after the commit."""
        self.remembered.forget(whom)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TELL_S):
                await self._bus.say(REVOKED, whom.encode())

    def _heard(self, payload: bytes) -> None:
        self.remembered.forget(payload.decode("ascii", "replace"))


def _key_actor(facts: access_actors.KeyFacts) -> Actor | None:
    if not facts.alive:
        return None
    return Actor(
        id=facts.key_id,
        tenant_id=facts.tenant_id,
        name=facts.name,
        permissions=frozenset(facts.scopes),
        operator=facts.all_tenants,
        limits=facts.limits,
    )


def _in(seconds: int) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)
