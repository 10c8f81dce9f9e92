"""The commands that run something: `irisx up`, and each of its processes alone."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from api.commands.common import Failure, Json
from core.config import Settings, load_secret

MINUTE_S = 60.0


def up(
    state_dir: Annotated[
        Path | None, typer.Option(help="Where all data goes; IRISX_STATE_DIR, or ~/.local/state/irisx.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Where API and pages listen; else IRISX_LISTEN, or 8080."),
    ] = None,
    controllers: Annotated[
        int, typer.Option(min=1, max=16, help="How many; with two, one takes over from the other.")
    ] = 2,
    calls_per_minute: Annotated[
        float, typer.Option(min=0, max=60_000, help="Simulated inbound calls.")
    ] = 12.0,
    no_simulator: Annotated[bool, typer.Option("--no-simulator", help="No simulated switch.")] = False,
    fakes: Annotated[
        bool | None,
        typer.Option(
            "--fakes/--no-fakes",
            help="Fake providers of messages, each with a connected account; played unless DATABASE_URL, REDIS_URL or"
            " S3_ENDPOINT is given.",
            show_default=False,
        ),
    ] = None,
    messages_per_minute: Annotated[
        float,
        typer.Option(min=0, max=6_000, help="What customers of the fake providers write by themselves."),
    ] = 2.0,
    no_messages: Annotated[bool, typer.Option("--no-messages", help="Those customers keep silent.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show all of the processes' logs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run everything on this machine: database, bus, simulated switch, controllers, channel host, API, pages, fake providers.

    What DATABASE_URL, REDIS_URL, S3_ENDPOINT and SWITCHES name is used instead of the embedded part. Ctrl-C stops it.
    """
    from api.up import statedir
    from api.up.console import JsonLines, Terminal
    from api.up.plan import Choices
    from api.up.run import run

    given = Settings.from_env()
    listen = f"{given.listen.rpartition(':')[0]}:{port}" if port else given.listen
    choices = Choices(
        listen=listen,
        controllers=controllers,
        simulator=not no_simulator,
        fakes=fakes,
        messages_per_minute=0.0 if no_messages else messages_per_minute,
        calls_per_minute=calls_per_minute,
        verbose=verbose,
    )
    place = state_dir or (given.state_dir if os.environ.get("IRISX_STATE_DIR") else statedir.default())
    terminal = JsonLines() if as_json else Terminal()
    if wrong := run(given, choices, statedir.StateDir(place), terminal):
        raise Failure(wrong)


def controller() -> None:
    """Run one controller. Settings come from the environment: docs/operators/configure.md."""
    settings = _settings("DATABASE_URL", "REDIS_URL")
    from core.controller import run

    run(settings)


def channels() -> None:
    """Run one channel host: it sends, and holds channels' connections. Settings come from the environment."""
    settings = _settings("DATABASE_URL", "REDIS_URL")
    from core.channel_host import run
    from irisx_sdk.loading import installed

    found = installed()
    run(settings, found.channels, found.hooks)


def api() -> None:
    """Run one API process with the pages. Settings come from the environment."""
    settings = _settings("DATABASE_URL", "REDIS_URL")
    from api.app import serve

    serve(settings)


def node(
    name: Annotated[
        str, typer.Argument(metavar="SWITCH", help="The switch that writes here: its name or id.")
    ],
    recordings: Annotated[Path, typer.Option(help="The folder that it writes recordings into.")] = Path(
        "/var/lib/irisx/recordings"
    ),
    switch_folder: Annotated[
        str, typer.Option(help="How the switch itself calls that folder, where that is different.")
    ] = "",
    encryption: Annotated[
        str,
        typer.Option(
            envvar="IRISX_RECORDINGS_ENCRYPTION", help="AES256 or aws:kms; else as the bucket says."
        ),
    ] = "",
    kms_key: Annotated[
        str, typer.Option(envvar="IRISX_RECORDINGS_KMS_KEY", help="The key for aws:kms.")
    ] = "",
) -> None:
    """Run beside a switch: bring its finished recordings into the object store, and prompts to it."""
    if encryption not in ("", "AES256", "aws:kms"):
        raise Failure("--encryption is AES256 or aws:kms", exit_code=2)
    settings = _settings("DATABASE_URL", "REDIS_URL")
    from core.node_agent.process import Options, run
    from core.storage.recording_upload import Sealing

    sealing = Sealing(algorithm=encryption, kms_key=kms_key)
    try:
        run(settings, Options(node=name, recordings=recordings, there=switch_folder, sealing=sealing))
    except OSError as error:
        raise Failure(f"the folder {recordings} cannot be used: {error.strerror or error}") from error


def fake_providers(
    ports: Annotated[
        list[str], typer.Argument(metavar="CHANNEL=PORT...", help="Who plays where on 127.0.0.1.")
    ],
    webhooks: Annotated[str, typer.Option(help="Where the API answers: http://host:port.")],
    messages_per_minute: Annotated[
        float, typer.Option(min=0, max=6_000, help="What customers write by themselves.")
    ] = 0.0,
) -> None:
    """Play several providers in one process, each with a connected account of the main tenant (irisx up runs this).

    Goes to the database itself: DATABASE_URL. For one provider without an account see irisx fake-provider.
    """
    from api.up.demo import run

    given: dict[str, int] = {}
    for word in ports:
        name, _, port = word.partition("=")
        if not port.isdigit() or not 0 < int(port) < 65536:
            raise Failure(f"{word} is not like telegram=18001", exit_code=2)
        given[name] = int(port)
    try:
        run(_settings("DATABASE_URL"), given, webhooks=webhooks, per_minute=messages_per_minute)
    except LookupError as error:
        raise Failure(str(error)) from error
    except OSError as error:
        raise Failure(f"a fake provider cannot listen: {error.strerror or error}") from error


def _settings(*needed: str) -> Settings:
    """What the environment says, with the secret that all processes share."""
    settings = Settings.from_env()
    for name in needed:
        if not getattr(settings, name.lower()):
            raise Failure(
                f"{name} is not set: irisx up sets everything up by itself, or see irisx doctor", exit_code=2
            )
    if not settings.secret:
        if not (settings.state_dir / "secret").exists():
            raise Failure("IRISX_SECRET is not set: all processes of an installation share one", exit_code=2)
        settings = msgspec.structs.replace(settings, secret=load_secret(settings.state_dir))
    return settings


def simulator(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Event Socket port; 0 picks a free one.")
    ] = 8021,
    host: Annotated[str, typer.Option(help="Where it listens.")] = "127.0.0.1",
    sip_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="SIP port for agents' legs, with sound; without it there are none."
        ),
    ] = None,
    calls_per_minute: Annotated[float, typer.Option(min=0, max=60_000, help="Inbound calls.")] = 12.0,
    recordings: Annotated[
        Path | None, typer.Option(help="Where it writes recordings; nowhere when not given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same calls; -1 draws one.")] = -1,
) -> None:
    """Run a simulated switch. Its password, for the inside profile's user `irisx` too, is IRISX_SIMULATOR_PASSWORD, or
    FreeSWITCH's own default."""
    from freeswitch.simulator import LIVING, SimulatorSettings
    from freeswitch.simulator import run as run_simulator

    if recordings is not None:
        recordings.mkdir(parents=True, exist_ok=True)
    known = SimulatorSettings()
    per_second = calls_per_minute / MINUTE_S
    # The limit follows the rate, so that a high one is not silently cut off: calls last a minute or so.
    limit = max(LIVING.limit, int(per_second * 240))
    password = os.environ.get("IRISX_SIMULATOR_PASSWORD") or known.password
    settings = SimulatorSettings(
        host=host,
        port=port,
        password=password,
        sip_port=sip_port,
        inside_password=password,
        seed=None if seed < 0 else seed,
        # As often as the configuration that we ship for a real one.
        heartbeat_s=1.0,
        recordings_dir="" if recordings is None else str(recordings.absolute()),
        # The gateway of the configuration we ship, so that numbers can be dialled as on a real switch.
        gateways={**known.gateways, "carrier": ("carrier", "198.51.100.20:5060")},
        traffic=msgspec.structs.replace(LIVING, per_second=per_second, limit=limit),
    )
    run_simulator(settings)
