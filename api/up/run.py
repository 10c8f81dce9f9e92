"""The whole of `irisx up`, from its options to its end."""

import signal
import sys

import trio

from api.up import logs, plan
from api.up.console import JsonLines, Terminal
from api.up.parts import Part, PartFailed
from api.up.plan import Choices, Plan
from api.up.statedir import Occupied, StateDir
from api.up.supervisor import Supervisor
from core.config import Settings
from core.errors import IrisxError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(settings: Settings, choices: Choices, state: StateDir, terminal: Terminal | JsonLines) -> str:
    """Run everything until a signal. Returns "" after an orderly end, otherwise one line that says why not."""
    try:
        _take(state)
        chosen = plan.make(settings, choices, state)
        state.say(plan.browser_address(chosen.settings))
        terminal.say(f"IRISX starts; its state is in {state.path}")
        trio.run(_run, chosen, choices, terminal, strict_exception_groups=True)
    except (Occupied, PartFailed, IrisxError) as failed:
        return str(failed)
    finally:
        terminal.close()
        state.release()
    return ""


def _take(state: StateDir) -> None:
    try:
        state.take()
    except OSError as error:
        raise PartFailed(f"the state directory {state.path} cannot be used: {error.strerror}") from error


async def _run(chosen: Plan, choices: Choices, terminal: Terminal | JsonLines) -> None:
    supervisor = Supervisor(chosen.steps, terminal)
    stop = trio.Event()
    tails = [logs.Tail(step.name, step.log) for step in chosen.steps if isinstance(step, Part)]
    failed: list[PartFailed] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_listen, supervisor, stop, terminal)
        level = "debug" if choices.verbose else "warning"
        nursery.start_soon(lambda: logs.follow(tails, terminal.log, level=level))
        shown = False

        def ready() -> None:
            nonlocal shown
            shown = True
            _ready(chosen, terminal)

        try:
            await supervisor.run(ready, stop)
        except PartFailed as error:
            failed.append(error)
        if not shown and chosen.prepared is not None and chosen.prepared.password:
            # It was made and will not be made again: it must not get lost because something else failed.
            lines = [("e-mail", chosen.prepared.email), ("password", chosen.prepared.password)]
            terminal.box("the first operator", lines, "Shown this once.")
        terminal.say("everything has stopped")
        nursery.cancel_scope.cancel()
    if failed:
        raise failed[0]


async def _listen(supervisor: Supervisor, stop: trio.Event, terminal: Terminal | JsonLines) -> None:
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        async for number in signals:
            if stop.is_set():
                supervisor.force()
                continue
            name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
            terminal.say(
                f"{name}: stopping in reverse order" + (" (again to force)" if sys.stdin.isatty() else "")
            )
            stop.set()


def _ready(chosen: Plan, terminal: Terminal | JsonLines) -> None:
    lines = [("page", plan.browser_address(chosen.settings))]
    foot = "Sign in as you did before. Ctrl-C stops everything."
    if chosen.prepared is not None and chosen.prepared.password:
        lines += [("e-mail", chosen.prepared.email), ("password", chosen.prepared.password)]
        foot = "The password is shown this once; change it after signing in. Ctrl-C stops everything."
    if chosen.prepared is not None and chosen.prepared.switches:
        lines.append(("switches", ", ".join(chosen.prepared.switches)))
    # (each of these pages is a customer to write as)
    lines += [(f"fake {name}", f"{base}/") for name, base in chosen.fakes.items()]
    terminal.box("IRISX is running", lines, foot)
