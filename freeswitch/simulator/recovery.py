"""Taking over calls: what a standby switch does with the calls of one that died (``sofia recover``).

The database that both share is a list on the switch; ``api sim recoverable`` fills it, as the dying switch
would have. Recovered legs keep uuid and variables, come back answered, and go on with their application:
parked ones are parked again, bridged pairs find each other.
"""

from freeswitch.simulator import channel as ch
from freeswitch.simulator import codec, joining, lifecycle, people, sip
from freeswitch.simulator import origins as at
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.profile import Profile
from freeswitch.simulator.scripts import Caller, Person, Span
from freeswitch.simulator.switch import Refused, Switch
from freeswitch.simulator.timing import Thread

_RECOVERED = at.origin("CUSTOM", "sofia_glue.c", "sofia_glue_recover", 2216, "sofia::recovery_recovered")


class Row:
    """One leg in the shared database."""

    __slots__ = (
        "answered_us",
        "application",
        "caller",
        "created_us",
        "partner",
        "profile",
        "uuid",
        "variables",
    )

    def __init__(
        self, uuid: str, profile: str, caller: Caller, created_us: int, answered_us: int, *, partner: str = "",
        application: str = "park", variables: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.uuid = uuid
        self.profile = profile
        self.caller = caller
        self.created_us = created_us
        self.answered_us = answered_us
        self.partner = partner
        self.application = application
        self.variables = variables or {}


def waiting(switch: Switch, profile: str) -> list[Row]:
    """Return the rows that `recover` would take; every profile's when ``profile`` is empty."""
    rows: list[Row] = switch.recoverable
    return [row for row in rows if profile in ("", row.profile)]


def flush(switch: Switch, profile: str) -> None:
    """Forget rows without calling anybody."""
    gone = {row.uuid for row in waiting(switch, profile)}
    switch.recoverable = [row for row in switch.recoverable if row.uuid not in gone]


def remember(switch: Switch) -> list[Row]:
    """Return rows for the answered SIP legs of a switch: what it had written down when it died."""
    rows: list[Row] = []
    for channel in switch.channels.values():
        if channel.answered and not channel.down and channel.name.startswith("sofia/") and channel.profile:
            profile = channel.profile
            rows.append(
                Row(
                    channel.uuid,
                    channel.get("sofia_profile_name") or "carrier",
                    Caller(
                        destination=profile.destination,
                        number=profile.caller_id_number,
                        name=profile.caller_id_name,
                        profile=channel.get("sofia_profile_name") or "carrier",
                        context=profile.context,
                        ip=channel.get("sip_network_ip") or "127.0.0.1",
                    ),
                    profile.created,
                    profile.answered,
                    partner=channel.partner.uuid if channel.partner else "",
                    application=channel.application or "park",
                    variables={
                        name: value
                        for name, (value, _) in channel.variables.items()
                        if isinstance(value, str) and not name.startswith(("sip_", "rtp_", "current_"))
                    },
                )
            )
    return rows


def recover(switch: Switch, profile: str) -> int:
    """Rebuild every waiting leg; returns how many came back."""
    rows = waiting(switch, profile)
    taken = {row.uuid for row in rows}
    switch.recoverable = [row for row in switch.recoverable if row.uuid not in taken]
    legs: dict[str, Channel] = {}
    for row in rows:
        try:
            legs[row.uuid] = _rebuild(switch, row)
        except Refused:
            continue
    for row in rows:
        first, second = legs.get(row.uuid), legs.get(row.partner)
        if first is not None and second is not None and "recovering-pair" not in second.flags:
            first.flags.add("recovering-pair")
            switch.threads.after(0.12, _rejoin, first, second)
    if legs:
        switch.desk.fire(_RECOVERED, before=(("recovered_calls", str(len(legs))),))
    return len(legs)


def _rebuild(switch: Switch, row: Row) -> Channel:
    name = f"sofia/{row.profile}/{row.caller.number}@{row.caller.ip}:{row.caller.port}"
    channel = switch.new_channel(row.uuid, name, "inbound")
    profile = channel.profile = Profile(
        direction="inbound",
        uuid=row.uuid,
        created_us=row.created_us,
        username=row.caller.number,
        dialplan="XML",
        caller_id_name=row.caller.name,
        caller_id_number=row.caller.number,
        orig_caller_id_name=row.caller.name,
        orig_caller_id_number=row.caller.number,
        network_addr=row.caller.ip,
        ani=row.caller.number,
        destination=row.caller.destination,
        source="mod_sofia",
        context=row.caller.context or row.caller.profile,
        channel_name=name,
    )
    profile.stamp("answered", row.answered_us)
    profile.stamp("resurrected", switch.clock.now_us())
    channel.created_us = row.created_us
    sip.arrive(channel, row.caller)
    for key, value in row.variables.items():
        if channel.get(key) is None:
            channel.set(key, value)
    channel.set("recovered", "true")
    channel.answered = True
    channel.running = ch.NONE
    codec.agree(channel)
    channel.extension.extend(_rest(row))
    channel.thread = switch.threads.spawn(_thread(channel))
    person = Person(talk=Span(20, 120, 40))
    channel.driver = switch.threads.spawn(people.caller(channel, person))
    return channel


def _rest(row: Row) -> list[tuple[str, str | None]]:
    actions: list[tuple[str, str | None]] = [("answer", None)]
    for name in ("tenant_id", "irisx_side"):
        if name in row.variables:
            actions.append(("set", f"{name}={row.variables[name]}"))
    return [*actions, ("park", None)]


def _thread(channel: Channel) -> Thread:
    """Come back to life: call state ACTIVE, CS_INIT, CREATE, and on with the application list."""
    channel.running = ch.INIT
    channel.state = ch.INIT
    channel.touch()
    channel.set_call_state(ch.ACTIVE)
    channel.fire(at.CHANNEL_STATE)
    channel.aim(ch.EXECUTE)
    channel.fire(at.CHANNEL_CREATE)
    yield from lifecycle.states(channel)


def _rejoin(first: Channel, second: Channel) -> None:
    if not first.down and not second.down:
        joining.join(first, second)
