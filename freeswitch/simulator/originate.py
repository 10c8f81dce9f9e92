"""Calling out: legs made from dial strings, watched until one answers, all fail or nobody waits any more.

`call` is the part that the api's ``originate`` and the application ``bridge`` share (switch_ivr_originate).
"""

from collections.abc import Generator

from freeswitch.simulator import channel as ch
from freeswitch.simulator import endpoints, transfer
from freeswitch.simulator.channel import Channel, is_true
from freeswitch.simulator.dialstring import Dial, Leg, parse
from freeswitch.simulator.switch import Refused, Switch

Outcome = tuple[Channel | None, str]
"""The leg that answered (or None) and the cause of what happened."""

DEFAULT_TIMEOUT_S = 60.0


def call(
    switch: Switch,
    dial_text: str,
    *,
    caller: Channel | None = None,
    name: str = "",
    number: str = "",
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> Generator[float | None, bool, Outcome]:
    """Call until somebody answers (or sends early media, unless ignored).

    ``caller`` is the leg a bridge is made for: its variables and caller id are passed on, its hangup ends
    the attempt, and progress of the called legs is shown on it.
    """
    dial = _with_identity(parse(dial_text), name, number)
    cause = "DESTINATION_OUT_OF_ORDER"
    retries = min(100, max(1, _whole(dial.variables.get("originate_retries"), 1)))
    retry_sleep = min(60.0, _whole(dial.variables.get("originate_retry_sleep_ms"), 1000) / 1000)
    if (text := dial.variables.get("originate_timeout")) is not None:
        timeout_s = float(_whole(text, round(timeout_s)))
    for attempt in range(retries):
        if attempt:
            yield retry_sleep
        for group in dial.groups:
            if caller is not None and not caller.ready:
                return None, "ORIGINATOR_CANCEL"
            winner, cause = yield from _call_group(
                switch, dial, group, caller=caller, name=name, number=number, timeout_s=timeout_s
            )
            if winner is not None:
                return winner, "SUCCESS"
            if cause in ("ORIGINATOR_CANCEL",):
                return None, cause
    return None, cause


def _call_group(
    switch: Switch,
    dial: Dial,
    group: tuple[Leg, ...],
    *,
    caller: Channel | None,
    name: str,
    number: str,
    timeout_s: float,
) -> Generator[float | None, bool, Outcome]:
    ignore_early = is_true(dial.variables.get("ignore_early_media"))
    legs: list[Channel] = []
    cause = "DESTINATION_OUT_OF_ORDER"
    deadline = switch.monotonic() + timeout_s
    limits: dict[str, float] = {}
    for leg in group:
        shared = {key: value for key, value in dial.variables.items() if key not in leg.variables}
        variables = {**leg.variables, **shared}
        try:
            made = endpoints.make(switch, leg.endpoint, variables, caller=caller, name=name, number=number)
        except Refused as refused:
            cause = refused.cause
            continue
        legs.append(made)
        if (text := variables.get("leg_timeout")) is not None:
            limits[made.uuid] = switch.monotonic() + _whole(text, 60)
        ignore_early = ignore_early or is_true(variables.get("ignore_early_media"))
    if not legs:
        return None, cause
    running = switch.threads.current
    assert running is not None  # noqa: S101 - `call` only ever runs inside a thread
    for made in legs:
        made.waiters.append(running)
    if caller is not None and running not in caller.waiters and running is not caller.thread:
        caller.waiters.append(running)
    try:
        return (
            yield from _watch(
                switch, legs, limits, deadline, caller=caller, ignore_early=ignore_early, cause=cause
            )
        )
    finally:
        for made in legs:
            if running in made.waiters:
                made.waiters.remove(running)
        if caller is not None and running in caller.waiters:
            caller.waiters.remove(running)


def _watch(
    switch: Switch,
    legs: list[Channel],
    limits: dict[str, float],
    deadline: float,
    *,
    caller: Channel | None,
    ignore_early: bool,
    cause: str,
) -> Generator[float | None, bool, Outcome]:
    told: set[Channel] = set()
    while True:
        if caller is not None and not caller.ready:
            for leg in legs:
                if caller.down and not leg.down:
                    ch.pass_hangup(caller, leg)
            _drop(legs, "ORIGINATOR_CANCEL")
            return None, "ORIGINATOR_CANCEL"
        for leg in legs:
            if leg.down:
                if caller is not None and leg not in told:
                    told.add(leg)
                    ch.pass_hangup(leg, caller)
                cause = leg.hangup_cause or cause
            elif leg.answered or (leg.early and not ignore_early):
                if caller is not None:
                    endpoints.show_callee(caller, leg)
                losers = [other for other in legs if other is not leg and not other.down]
                for other in losers:
                    other.set("group_dial_status", "loser")
                _drop(losers, "LOSE_RACE")
                return leg, "SUCCESS"
            elif caller is not None and leg.rung and not caller.rung:
                endpoints.show_progress(caller, leg)
        alive = [leg for leg in legs if not leg.down]
        if not alive:
            return None, cause
        now = switch.monotonic()
        for leg in alive:
            if limits.get(leg.uuid, now + 1) <= now:
                leg.hang_up("NO_ANSWER")
        if now >= deadline:
            _drop(alive, "NO_ANSWER")
            return None, "NO_ANSWER"
        ends = [deadline, *(limits[leg.uuid] for leg in alive if limits.get(leg.uuid, 0) > now)]
        yield max(0.0, min(ends) - now)


def _drop(legs: list[Channel], cause: str) -> None:
    for leg in legs:
        leg.hang_up(cause)


def _whole(text: str | None, default: int) -> int:
    return int(text) if text and text.lstrip("-").isdigit() else default


def send_to(channel: Channel, destination: str, dialplan: str, context: str) -> None:
    """Let a leg that answered execute ``&app(args)`` or an extension."""
    if destination.startswith("&"):
        name, _, data = destination[1:].partition("(")
        channel.extension.append((name, data.removesuffix(")") or None))
        channel.plan = list(channel.extension)
        if channel.answered:
            channel.set("endpoint_disposition", "ANSWER")
        transfer.turn_round(channel)
        channel.aim(ch.EXECUTE)
        channel.wake()
    else:
        if channel.answered:
            channel.set("endpoint_disposition", "ANSWER")
        transfer.go(channel, destination, dialplan, context)


def _with_identity(dial: Dial, name: str, number: str) -> Dial:
    """Return the dial string with the caller id of `originate`'s own arguments as variables."""
    given = {"origination_caller_id_name": name, "origination_caller_id_number": number}
    more = {key: value for key, value in given.items() if value and key not in dial.variables}
    return Dial({**dial.variables, **more}, dial.groups)
