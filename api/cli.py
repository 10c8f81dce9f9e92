"""`irisx`: the command line. Here the commands are put together, and failures become one line and an exit code."""

import os
import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from api.commands import (
    calls,
    doctor,
    events,
    login,
    nodes,
    objects,
    one_call,
    plugins,
    processes,
    replay,
    status,
    storage,
    switch_config,
    top,
)
from api.commands.common import Failure, plain
from core.errors import IrisxError

app = typer.Typer(
    name="irisx",
    help="IRISX: run it, watch it, act on calls.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_RUN, _CALLS, _LOOK, _CARE, _PLUGINS = "Run", "Calls", "Look", "Care", "Channels"
app.command(rich_help_panel=_RUN)(processes.up)
app.command(rich_help_panel=_RUN)(processes.controller)
app.command(rich_help_panel=_RUN)(processes.channels)
app.command(rich_help_panel=_RUN)(processes.api)
app.command(rich_help_panel=_RUN)(processes.node)
app.command(rich_help_panel=_RUN)(processes.simulator)
app.command("fake-providers", rich_help_panel=_PLUGINS)(processes.fake_providers)
app.command("calls", rich_help_panel=_CALLS)(calls.list_calls)
app.add_typer(one_call.call_app, name="call", rich_help_panel=_CALLS)
app.command(rich_help_panel=_CALLS)(calls.originate)
app.command(rich_help_panel=_LOOK)(status.status)
app.command(rich_help_panel=_LOOK)(top.top)
app.command(rich_help_panel=_LOOK)(events.events)
app.command(rich_help_panel=_LOOK)(replay.replay)
app.add_typer(nodes.nodes_app, name="nodes", rich_help_panel=_CARE)
app.command(rich_help_panel=_CARE)(doctor.doctor)
app.add_typer(plugins.plugin_app, name="plugin", rich_help_panel=_PLUGINS)
app.command("fake-provider", rich_help_panel=_PLUGINS)(plugins.fake_provider)
app.add_typer(objects.storage_app, name="storage", rich_help_panel=_CARE)
app.command("freeswitch-config", rich_help_panel=_CARE)(switch_config.freeswitch_config)
app.command(rich_help_panel=_CARE)(storage.migrate)
app.command("new-password", rich_help_panel=_CARE)(storage.new_password)
app.command(rich_help_panel=_CARE)(login.login)
app.command(rich_help_panel=_CARE)(login.logout)


def run(words: Sequence[str]) -> int:
    """Carry out a command line and return its exit code."""
    try:
        result = app(args=list(words), prog_name="irisx", standalone_mode=False)
    except TyperException as wrong:
        return _complain(wrong.format_message().replace("\n", " "), wrong.exit_code)
    except Failure as failure:
        return _complain(str(failure), failure.exit_code)
    except IrisxError as error:
        return _complain(error.detail, 1)
    except typer.Abort:
        return _complain("stopped", 130)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read us (head, less) has seen enough. Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 1
    return result if isinstance(result, int) else 0


def _complain(text: str, code: int) -> int:
    if text:  # empty when the help was shown because nothing was said
        print(f"irisx: {plain(text).strip()}", file=sys.stderr)
    return code


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
