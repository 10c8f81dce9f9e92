"""Passwords: argon2id in a few worker threads, so that a crowd at the door never stops the event loop.

Parameters are those of RFC 9106's second recommendation (64 MiB, 3 passes, 4 lanes), which is argon2-cffi's
default profile; a hash made with others is accepted and replaced at the next sign-in.
"""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple, Unpack

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from core.errors import Conflict, RequestError, Unavailable

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MIN_LENGTH = 10
MAX_BYTES = 1024
"""A password is hashed whole; this only keeps a body from being one."""
WORKERS = 2
"""Hashes at a time: each takes 64 MiB and most of a core for about 50 ms."""
MAX_WAITING = 64
"""Hashes waiting for a worker; beyond that the door says "later" instead of queueing for ever."""


class WeakPassword(RequestError):
    code = "weak_password"


class WrongPassword(Conflict):
    """The present password that was given to change it is not the present password."""

    code = "wrong_password"


def check_strength(password: str, *, email: str = "") -> None:
    """Raises `WeakPassword`. Length decides (NIST SP 800-63B 5.1.1.2): no rules about kinds of characters."""
    if len(password) < MIN_LENGTH:
        raise WeakPassword(f"a password has at least {MIN_LENGTH} characters")
    if len(password.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise WeakPassword(f"a password has at most {MAX_BYTES} bytes")
    if len(set(password)) < 4:
        raise WeakPassword("this password repeats the same few characters")
    if email and password.casefold() == email.casefold():
        raise WeakPassword("the address cannot be the password")


def fresh_password() -> str:
    """A password to be told once: 120 bits, easy to read out."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(6)) for _ in range(4))


class Passwords:
    """Hashes and checks passwords. One for each process; `aclose` ends its threads."""

    def __init__(self, hasher: argon2.PasswordHasher | None = None) -> None:
        self._hasher = hasher or argon2.PasswordHasher()
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="password")
        self._waiting = 0
        # For people we do not know: a wrong address must take as long as a wrong password.
        self._nobody = self._hasher.hash(secrets.token_hex(16))

    async def hash(self, password: str) -> str:
        """Raises `Unavailable` when too many wait."""
        return await self._run(self._hasher.hash, _bytes(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether ``password`` is the one. None for the hash means "nobody": it takes as long and is False."""
        known = password_hash is not None
        right = await self._run(self._check, password_hash or self._nobody, _bytes(password))
        return known and right

    def outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _check(self, password_hash: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, fn: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        if self._waiting >= MAX_WAITING:
            raise Unavailable("too many people are signing in at this moment", code="busy")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, fn, *args)
        finally:
            self._waiting -= 1


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
