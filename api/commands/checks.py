"""What `irisx doctor` looks at on this machine and in the stores: each check answers with findings.

A finding that is not good carries a remedy: what to do, in a sentence a tired person can follow.
"""

import asyncio
import ctypes
import platform
import resource
import shutil
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import asyncpg
import httpx
import redis
from msgspec import Struct
from redis.exceptions import RedisError

from api.up import ports
from core.bus import HOSTS
from core.config import Settings, hide_password
from core.errors import IrisxError
from core.model import outgoing
from core.storage import migrate
from core.storage.blobs import open_blobs
from core.storage.database import SYSTEM, Database
from core.storage.outgoing_facts import OutgoingFacts, outgoing_facts

Level = Literal["good", "attention", "bad"]

TRY_S = 5.0
POSTGRES_OLDEST = 14
"""Older ones are no longer maintained (postgresql.org, versioning policy, read 2026-11)."""
DISK_BAD, DISK_LOW = 1 << 30, 5 << 30
FILES_LOW = 4096
CLOCK_S = 1.0
"""Clocks of machines that keep time agree within milliseconds; a second shows in every record."""
SLOW_S = 0.05
_TIME_ERROR = 5
"""TIME_ERROR: "the system clock is not synchronized to a reliable server" (adjtimex(2))."""


class Finding(Struct, frozen=True, omit_defaults=True):
    """What one check found."""

    area: str
    level: Level
    text: str
    remedy: str = ""


def versions() -> list[Finding]:
    """Python, ourselves, and the packages that matter."""
    python = platform.python_version()
    found = []
    try:
        ours = version("irisx")
    except PackageNotFoundError:
        ours = "from a checkout"
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("trio", "asyncpg", "redis", "litestar", "msgspec")
    )
    found.append(Finding("versions", "good", f"IRISX {ours}, Python {python}; {packages}"))
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        found.append(
            Finding("versions", "bad", f"Python {python} is not supported", "use Python 3.11 to 3.13")
        )
    return found


def machine(settings: Settings) -> list[Finding]:
    """Disk, open files, clock."""
    place = settings.state_dir
    while not place.exists() and place != place.parent:
        place = place.parent
    space = shutil.disk_usage(place)
    shown = f"{space.free / (1 << 30):.1f} GiB free of {space.total / (1 << 30):.0f} for {settings.state_dir}"
    found = []
    if space.free < DISK_BAD:
        found.append(Finding("disk", "bad", shown, "make room: spool and journals stop when it is full"))
    elif space.free < DISK_LOW:
        found.append(Finding("disk", "attention", shown, "make room before it is full"))
    else:
        found.append(Finding("disk", "good", shown))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES_LOW and soft != resource.RLIM_INFINITY:
        text = f"at most {soft} open files, stream clients and connections included"
        limit = "ulimit -n 65536, or LimitNOFILE=65536 in the unit"
        found.append(Finding("files", "attention", text, limit if hard >= FILES_LOW else f"as root: {limit}"))
    else:
        found.append(Finding("files", "good", f"{soft} open files allowed"))
    return [*found, _clock()]


def _clock() -> Finding:
    # struct timex begins with `unsigned int modes`; 0 only reads. Its size is 208 bytes on 64-bit Linux.
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(512))
    if state == _TIME_ERROR:
        text = "nothing keeps this machine's clock right"
        return Finding(
            "clock", "attention", text, "run chrony or systemd-timesyncd; containers take the host's clock"
        )
    return Finding("clock", "good", "kept right" if state >= 0 else "cannot be asked here")


def own_port(settings: Settings) -> list[Finding]:
    """Whether the API can listen, or listens already."""
    host, port = settings.listen_address()
    if ports.is_free(host, port):
        return [
            Finding("api", "attention", f"nothing listens on {settings.listen}", "irisx up, or irisx api")
        ]
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104
    try:
        answer = httpx.get(f"http://{shown}:{port}/v1/health/ready", timeout=TRY_S, trust_env=False)
        said = answer.json()
        if answer.status_code == httpx.codes.OK and said.get("status") == "ready":
            return [Finding("api", "good", f"ready on {settings.listen}")]
        reasons = "; ".join(str(reason) for reason in said.get("reasons", []))
        return [
            Finding(
                "api", "bad", f"not ready on {settings.listen}: {reasons}", "see what the database says below"
            )
        ]
    except (httpx.HTTPError, ValueError, AttributeError):
        who = ports.holder(port) or "another program"
        return [Finding("api", "bad", f"{settings.listen} is used by {who}", "stop it, or set IRISX_LISTEN")]


def database(url: str) -> list[Finding]:
    """Postgres: reachable, new enough, migrated, the right kind of role, a clock that agrees."""
    if not url:
        return [
            Finding(
                "database",
                "attention",
                "no DATABASE_URL, and no irisx up runs here",
                "irisx up brings its own",
            )
        ]
    shown = hide_password(url)
    began = time.monotonic()
    try:
        facts = asyncio.run(_ask_postgres(url))
    except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        why = str(error) or type(error).__name__
        return [
            Finding(
                "database",
                "bad",
                f"{shown} does not let us in: {why}",
                "check DATABASE_URL, pg_hba.conf, firewall",
            )
        ]
    took = time.monotonic() - began
    major = facts.number // 10_000
    found = [
        Finding("database", "good", f"PostgreSQL {facts.version} at {shown}, asked in {took * 1000:.0f} ms")
    ]
    if major < POSTGRES_OLDEST:
        found.append(
            Finding("database", "bad", f"PostgreSQL {major} is too old", f"use {POSTGRES_OLDEST} or newer")
        )
    if facts.unbound:
        text = "the role may pass over row-level security: tenants are not kept apart"
        found.append(
            Finding(
                "database",
                "bad",
                text,
                "connect as a role without SUPERUSER and BYPASSRLS that owns the database",
            )
        )
    if abs(facts.skew_s) > CLOCK_S + took:
        text = f"its clock differs by {facts.skew_s:.1f} s from ours"
        found.append(Finding("database", "attention", text, "run chrony or systemd-timesyncd on both"))
    try:
        waiting = migrate.pending(url)
    except IrisxError as error:
        found.append(
            Finding("database", "bad", f"the schema cannot be read: {error.detail}", "irisx migrate")
        )
    else:
        if waiting:
            found.append(
                Finding(
                    "database", "bad", f"schema versions are pending: {', '.join(waiting)}", "irisx migrate"
                )
            )
        else:
            found.append(Finding("database", "good", "the schema is the newest"))
    return found


class _Postgres(Struct):
    version: str
    number: int
    unbound: bool
    skew_s: float


async def _ask_postgres(url: str) -> _Postgres:
    connection = await asyncpg.connect(url, timeout=TRY_S, command_timeout=TRY_S)
    try:
        row = await connection.fetchrow(
            "select current_setting('server_version') as version, current_setting('server_version_num')::int as number,"
            " (select rolsuper or rolbypassrls from pg_roles where rolname = current_user) as unbound,"
            " extract(epoch from clock_timestamp())::float8 as now"
        )
    finally:
        await connection.close(timeout=TRY_S)
    return _Postgres(row["version"], row["number"], row["unbound"], row["now"] - time.time())


def bus(url: str) -> list[Finding]:
    """Valkey or Redis: reachable, quick, and not throwing leases away when memory is short."""
    if not url:
        return [
            Finding("bus", "attention", "no REDIS_URL, and no irisx up runs here", "irisx up brings its own")
        ]
    shown = hide_password(url)
    try:
        with redis.Redis.from_url(url, socket_timeout=TRY_S, socket_connect_timeout=TRY_S) as client:
            client.ping()
            began = time.monotonic()
            info = client.info()
            took = time.monotonic() - began
    except (RedisError, OSError, ValueError) as error:
        why = str(error) or type(error).__name__
        return [
            Finding(
                "bus", "bad", f"{shown} does not answer: {why}", "check REDIS_URL, its password, firewall"
            )
        ]
    name = "Valkey" if "valkey_version" in info else "Redis"
    number = info.get("valkey_version") or info.get("redis_version")
    level: Level = "attention" if took > SLOW_S else "good"
    remedy = "leases live 1.5 s: keep it near the controllers" if level != "good" else ""
    found = [Finding("bus", level, f"{name} {number} at {shown}, asked in {took * 1000:.1f} ms", remedy)]
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory") and policy != "noeviction":
        text = f"maxmemory-policy is {policy}: leases may be thrown away when memory is short"
        found.append(Finding("bus", "bad", text, "set maxmemory-policy noeviction"))
    return found


def objects(settings: Settings) -> list[Finding]:
    """Recordings and journals can be written."""
    where = f"bucket {settings.s3_bucket}" if settings.s3_bucket else str(settings.blobs_folder())
    if not settings.s3_bucket and not settings.blobs_folder().parent.exists():
        return [Finding("objects", "attention", f"{where} is not there yet", "irisx up makes it")]
    try:
        open_blobs(settings).check()
    except (IrisxError, OSError, ValueError) as error:
        return [
            Finding(
                "objects", "bad", f"{where} cannot be written: {error}", "check S3_* or the folder's owner"
            )
        ]
    return [Finding("objects", "good", f"{where} can be written")]


def messages_out(database: str, bus: str) -> list[Finding]:
    """Channel hosts, accounts, what waits to be sent, endpoints for webhooks."""
    if not database:
        return []
    try:
        facts = asyncio.run(_outgoing(database))
    except (IrisxError, OSError):
        return []  # the finding about the database says what is wrong with it
    if facts is None or not outgoing.needs_host(facts):
        return []
    found = []
    hosts = _hosts(bus)
    if hosts == 0:
        text, remedy = "no channel host runs: nothing is sent or delivered", "start irisx channels"
        found.append(Finding("messages", "bad", text, remedy))
    elif hosts:
        found.append(Finding("messages", "good", f"{hosts} channel host{'s' if hosts > 1 else ''}"))
    said = outgoing.messages(facts)
    remedy = (
        ""
        if said.level == "good"
        else "look at the accounts: GET /v1/channels says why; the page Channels, too"
    )
    found.append(Finding("messages", said.level, said.text.rstrip("."), remedy))
    if facts.endpoints or facts.switched_off:
        said = outgoing.endpoints(facts)
        remedy = (
            "" if said.level == "good" else "look at the page Webhooks: it shows what the endpoints answered"
        )
        found.append(Finding("webhooks", said.level, said.text.rstrip("."), remedy))
    return found


async def _outgoing(url: str) -> OutgoingFacts | None:
    async with await Database.open(url, max_size=1, patience_s=0.0) as database:
        if await database.lacking():
            return None
        return await outgoing_facts(database, SYSTEM)


def _hosts(url: str) -> int | None:
    """How many channel hosts show themselves; None when the bus cannot be asked."""
    if not url:
        return None
    try:
        with redis.Redis.from_url(url, socket_timeout=TRY_S, socket_connect_timeout=TRY_S) as client:
            return sum(1 for _ in client.scan_iter(match=HOSTS + "*", count=100))
    except (RedisError, OSError, ValueError):
        return None
