"""From what the operator gave to what has to be started.

Each real part that is named (DATABASE_URL, REDIS_URL, S3_ENDPOINT, SWITCHES) replaces the embedded one, which is then not
in the plan. So a laptop and a carrier run the same processes.
"""

import hashlib
import os
import socket
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from api.up import ports, probes
from api.up.parts import Part, PartFailed, Probe, Program, Server, run_once
from api.up.prepare import DESK, Prepared
from api.up.statedir import StateDir
from api.up.supervisor import Act
from core.config import Settings, SwitchAddress, hide_password, load_secret
from core.storage import pgcluster
from core.storage.embedded import EmbeddedPostgres, EmbeddedValkey

HOST = "127.0.0.1"
PREPARE_S = 90.0
"""Longer than another starter's migration may take (`core.storage.migrate.WAIT_S`)."""
SIMULATOR_NAME = "simulator"
SIMULATOR_USER = "irisx"
"""Who controllers are on its inside profile."""
PLAYED = ("sms.twilio", "email.postmark", "whatsapp", "telegram", "teams", "discord", "slack")
"""The channels whose providers are played: one of each family."""
OPEN_PLACE = Path("/var/lib/irisx")


class Choices(Struct, frozen=True, kw_only=True):
    """The options of `irisx up`."""

    listen: str
    controllers: int = 2
    simulator: bool = True
    calls_per_minute: float = 12.0
    fakes: bool | None = None
    """Whether fake providers of messages play; None: only with embedded database and bus, and no way in from outside."""
    messages_per_minute: float = 2.0
    """What customers of the fake providers write by themselves."""
    verbose: bool = False


class Plan(Struct):
    """What to start, in order, and what was found on the way."""

    steps: list[Part | Act]
    settings: Settings
    prepared: Prepared | None = None
    fakes: dict[str, str] = {}
    """Where fake providers are, by channel."""


def browser_address(settings: Settings) -> str:
    """Where a person on this machine opens the pages."""
    if settings.public_url:
        return settings.public_url
    host, port = settings.listen_address()
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104
    return f"http://{shown}:{port}"


def make(given: Settings, choices: Choices, state: StateDir) -> Plan:
    """Decide. Raises `PartFailed` for a port in use and `core.config.ConfigError` for settings that cannot be."""
    settings = msgspec.structs.replace(given, listen=choices.listen, state_dir=state.path, log_format="json")
    if not settings.secret:
        settings = msgspec.structs.replace(settings, secret=load_secret(state.path))
    check_port(settings)
    plan = Plan([], settings)
    _database(plan, state)
    _bus(plan, state)
    if not settings.s3_endpoint:
        plan.settings.blobs_folder().mkdir(parents=True, exist_ok=True)
    if choices.simulator and not settings.switches:
        _simulator(plan, choices, state)
    _prepare(plan, state, desk=choices.simulator and not settings.switches)
    real = given.database_url or given.redis_url or given.s3_endpoint
    plays = choices.fakes or (choices.fakes is None and not real and settings.reaches_this_machine)
    if plays:
        plan.settings = msgspec.structs.replace(plan.settings, local_providers="yes")
    if not plan.settings.signaling:
        # Each controller has a port of its own; pages are told where they are.
        plan.settings = msgspec.structs.replace(plan.settings, signaling=f"{HOST}:0")
    env = _environment(plan.settings)
    for number in range(1, choices.controllers + 1):
        role = "owns the switches, or stands by" if choices.controllers > 1 else "owns the switches"
        ready = probes.controller(plan.settings.redis_url)
        plan.steps.append(_program(f"controller-{number}", role, ["controller"], env, state, ready))
    hosting = probes.channel_host(plan.settings.redis_url)
    about = "sends messages, holds channels' connections"
    plan.steps.append(_program("channels", about, ["channels"], env, state, hosting))
    if choices.simulator and not settings.switches:
        argv = ["node", SIMULATOR_NAME, "--recordings", str(state.path / "recordings")]
        about = "brings recordings of the simulated switch into the object store"
        beside = probes.node_agent(plan.settings.redis_url)
        plan.steps.append(_program("node", about, argv, env, state, beside))
    address = browser_address(msgspec.structs.replace(plan.settings, public_url=""))
    about = f"HTTP and pages on {browser_address(plan.settings)}"
    plan.steps.append(_program("api", about, ["api"], env, state, probes.api(address)))
    if plays:
        _fakes(plan, choices, state, address)
    return plan


def check_port(settings: Settings) -> None:
    """Say who is in the way before anything is started."""
    host, port = settings.listen_address()
    if not ports.is_free(host, port):
        who = ports.holder(port) or "another program"
        raise PartFailed(f"port {port} is used by {who}; stop it, or choose another with --port")


def _database(plan: Plan, state: StateDir) -> None:
    if plan.settings.database_url:
        return
    place = database_place(state.path)
    place.mkdir(parents=True, exist_ok=True)
    memory = state.remembered()
    memory.database_dir = str(place)
    state.remember(memory)
    server = EmbeddedPostgres(place)
    about = f"embedded, data in {_short(place / 'postgres')}"
    url = f"postgresql://{pgcluster.OWNER}@/{pgcluster.DATABASE}?host={server.run_dir()}"
    plan.steps.append(Server("postgres", about, server, url))
    plan.settings = msgspec.structs.replace(plan.settings, database_url=url)


def database_place(state_dir: Path) -> Path:
    """Where the embedded Postgres lives: the state directory, or an open place where its user cannot get there.

    That is so for root in a container that has no user namespaces, below a closed folder such as /root.
    """
    if os.geteuid() != 0 or pgcluster.open_to_all(state_dir.parent) or pgcluster.working_mode() != "nobody":
        return state_dir
    return OPEN_PLACE / hashlib.blake2b(os.fsencode(state_dir), digest_size=6).hexdigest()


def _bus(plan: Plan, state: StateDir) -> None:
    if plan.settings.redis_url:
        return
    server = EmbeddedValkey(state.path)
    url = f"unix://{server.run_dir()}/valkey.sock"
    plan.steps.append(Server("valkey", f"embedded, data in {_short(state.path / 'valkey')}", server, url))
    plan.settings = msgspec.structs.replace(plan.settings, redis_url=url)


def _simulator(plan: Plan, choices: Choices, state: StateDir) -> None:
    memory = state.remembered()
    if not memory.simulator_port or not ports.is_free(HOST, memory.simulator_port):
        memory.simulator_port = ports.free_port(HOST)
    if not memory.simulator_sip_port or not ports.is_free(HOST, memory.simulator_sip_port):
        memory.simulator_sip_port = ports.free_port(HOST)
    state.remember(memory)
    inside = f"{SIMULATOR_USER}:{memory.simulator_password}@{HOST}:{memory.simulator_sip_port}"
    url = f"esl://:{memory.simulator_password}@{HOST}:{memory.simulator_port}?inside={inside}"
    plan.settings = msgspec.structs.replace(plan.settings, switches=(SwitchAddress(SIMULATOR_NAME, url),))
    argv = [
        "simulator",
        "--port",
        str(memory.simulator_port),
        "--sip-port",
        str(memory.simulator_sip_port),
        "--calls-per-minute",
        str(choices.calls_per_minute),
    ]
    argv += ["--recordings", str(state.path / "recordings")]
    # The password goes through the environment: a command line is for everybody to see.
    env = _environment(plan.settings) | {"IRISX_SIMULATOR_PASSWORD": memory.simulator_password}
    about = f"a simulated switch, {choices.calls_per_minute:g} calls a minute"
    ready = probes.simulator(HOST, memory.simulator_port)
    plan.steps.append(_program(SIMULATOR_NAME, about, argv, env, state, ready))


def _fakes(plan: Plan, choices: Choices, state: StateDir, address: str) -> None:
    """Providers of messages that do not exist, in one process, where they were at the last start if that is free."""
    memory = state.remembered()
    ports_of: dict[str, int] = {}
    for name in PLAYED:
        port = memory.fakes.get(name, 0)
        while not port or port in ports_of.values() or not ports.is_free(HOST, port):
            port = ports.free_port(HOST)
        ports_of[name] = port
    memory.fakes = ports_of
    state.remember(memory)
    plan.fakes = {name: f"http://{HOST}:{port}" for name, port in ports_of.items()}
    argv = ["fake-providers", *(f"{name}={port}" for name, port in ports_of.items())]
    argv += ["--webhooks", plan.settings.public_url or address]
    argv += ["--messages-per-minute", str(choices.messages_per_minute)]
    rate = choices.messages_per_minute
    about = f"{len(ports_of)} fake providers, " + (
        f"{rate:g} messages a minute" if rate else "silent customers"
    )
    env = _environment(plan.settings)
    plan.steps.append(_program("fakes", about, argv, env, state, probes.fakes(list(plan.fakes.values()))))


def _prepare(plan: Plan, state: StateDir, *, desk: bool) -> None:
    async def run() -> str:
        argv = [sys.executable, "-m", "api.up.prepare", *([DESK] if desk else [])]
        out = await run_once(
            "database",
            argv,
            env=_environment(plan.settings),
            log=state.logs / "prepare.log",
            limit_s=PREPARE_S,
        )
        plan.prepared = msgspec.json.decode(out, type=Prepared)
        return ""

    where = (
        hide_password(plan.settings.database_url)
        if "host=/" not in plan.settings.database_url
        else "the schema"
    )
    plan.steps.append(Act("database", f"{where}: newest version, switches, first operator", run))


def _program(
    name: str, about: str, argv: list[str], env: dict[str, str], state: StateDir, ready: Probe
) -> Program:
    command = [sys.executable, "-m", "api.cli", *argv]
    return Program(name, about, command, env=env, log=state.logs / f"{name}.log", ready=ready)


def _environment(settings: Settings) -> dict[str, str]:
    """Ours, with what was decided; the variables of a part that was not given stay away."""
    kept = {name: value for name, value in os.environ.items() if name not in _OURS}
    return kept | settings.environment() | {"PYTHONUNBUFFERED": "1", "IRISX_HOST": socket.gethostname()}


_OURS = frozenset(Settings().environment()) | {"DATABASE_URL", "REDIS_URL", "SWITCHES", "BLOBS_DIR"}


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
