"""Taking over calls: what a standby switch does with the calls of one that died (``sofia recover``).

The database that both share is a list on the switch; ``api sim recoverable`` fills it, as the dying switch
would have. Recovered legs keep uuid, variables and identity and come back answered. One that ran a dialplan
extension runs all of it again; the legs of a bridge find each other through uuid_bridge a moment later.
Called legs come back with the call state DOWN, and stay so: FreeSWITCH never says ACTIVE of them again.
"""

import msgspec

from freeswitch.simulator import channel as ch
from freeswitch.simulator import codec, joining, lifecycle, people, sip_recovery
from freeswitch.simulator import origins as at
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.profile import Profile
from freeswitch.simulator.scripts import NEVER, Person, Span
from freeswitch.simulator.switch import Refused, Switch
from freeswitch.simulator.timing import Thread

STILL_TALKING = Span(20, 120, 40)
REJOIN_S = 0.24
"""How long after the legs have come back their bridges do."""


class Row(msgspec.Struct):
    """One leg in the shared database."""

    uuid: str
    name: str
    direction: str
    sofia_profile: str
    profile: Profile
    other: Profile | None
    other_type: str
    variables: dict[str, str]
    plan: list[tuple[str, str | None]]
    partner: str = ""
    first: bool = False
    """Was the first leg of its bridge."""
    talk: Span = NEVER
    """How long the far end still talks."""


def waiting(switch: Switch, profile: str) -> list[Row]:
    """Return the rows that `recover` would take; every profile's when ``profile`` is empty."""
    rows: list[Row] = switch.recoverable
    return [row for row in rows if profile in ("", row.sofia_profile)]


def flush(switch: Switch, profile: str) -> None:
    """Forget rows without calling anybody."""
    gone = {row.uuid for row in waiting(switch, profile)}
    switch.recoverable = [row for row in switch.recoverable if row.uuid not in gone]


def remember(switch: Switch, talk: Span = STILL_TALKING) -> list[Row]:
    """Return rows for the answered SIP legs of a switch: what it had written down when it died.

    ``talk`` is how long their far ends will still talk once somebody has taken them over.
    """
    rows: list[Row] = []
    for channel in switch.channels.values():
        if not channel.answered or channel.down or channel.profile is None:
            continue
        if not channel.name.startswith("sofia/") or channel.leg is not None:
            # (the inside profile has track-calls=false: no other switch can renew a browser's leg)
            continue
        kept = {name: value for name, value in channel.variables.items() if name not in _LOST}
        rows.append(
            Row(
                channel.uuid, channel.name, channel.direction,
                channel.get("recovery_profile_name") or channel.name.split("/")[1],
                channel.profile.clone(),
                channel.profile_other.clone() if channel.profile_other is not None else None,
                channel.other_type,
                # The database knows no lists: the last value of each is what comes back.
                {name: value if isinstance(value, str) else value[-1] for name, value in kept.items()},
                list(channel.plan),
                channel.partner.uuid if channel.partner is not None else "",
                "bridge-originator" in channel.flags,
                talk,
            )
        )  # fmt: skip
    return rows


_LOST = frozenset(
    [
        "sip_subject",
        "sip_h_X-Carrier-Trace",
        "bridge_channel",
        "bridge_uuid",
        "sip_outgoing_contact_uri",
        "last_sent_callee_id_name",
        "last_sent_callee_id_number",
    ]
)
"""Variables that do not outlive the switch."""


def recover(switch: Switch, profile: str) -> int:
    """Rebuild every waiting leg; returns how many came back. The second legs of bridges come first."""
    rows = waiting(switch, profile)
    taken = {row.uuid for row in rows}
    switch.recoverable = [row for row in switch.recoverable if row.uuid not in taken]
    legs: dict[str, Channel] = {}
    by_uuid = {row.uuid: row for row in rows}
    order: list[Row] = []
    for row in rows:
        if row.first and row.partner in by_uuid:
            order += [by_uuid[row.partner], row]
        elif not row.partner or not by_uuid.get(row.partner) or not by_uuid[row.partner].first:
            order.append(row)
    for row in order:
        try:
            legs[row.uuid] = _rebuild(switch, row, paired=row.partner in by_uuid)
        except Refused:
            continue
    for row in order:
        if row.first and row.uuid in legs and row.partner in legs:
            switch.threads.after(REJOIN_S, _rejoin, legs[row.uuid], legs[row.partner])
    return len(legs)


def _rebuild(switch: Switch, row: Row, *, paired: bool) -> Channel:
    channel = switch.new_channel(row.uuid, row.name, row.direction)
    now = switch.clock.now_us()
    channel.profile = row.profile
    row.profile.stamp("created", now)
    row.profile.stamp("resurrected", now)
    row.profile.stamp("bridged", 0)
    if row.other is not None:
        row.other.set(channel_name="", uuid="")
        row.other.forget_times()
        channel.show_other(row.other, row.other_type)
    channel.set_many({name: value for name, value in row.variables.items() if value})
    sip_recovery.recover(channel)
    channel.answered = True
    channel.flags.add("recovered")
    if row.direction == "outbound" and row.plan:
        channel.flags.add("dialplan")
    codec.agree(channel)
    channel.plan = list(row.plan)
    channel.extension.extend(row.plan)
    channel.state = ch.INIT
    channel.thread = switch.threads.spawn(_thread(channel, ch.RESET if paired else ch.EXECUTE))
    caller = people.caller(channel, Person(talk=row.talk))
    channel.driver = switch.threads.spawn(caller)
    switch.threads.after(0.01 + switch.frame_delay(), sip_recovery.answered, channel)
    return channel


def _thread(channel: Channel, state: int) -> Thread:
    """Come back to life: CS_INIT, CREATE, and on to the applications or into waiting for the other leg."""
    channel.enter(ch.INIT)
    channel.aim(state)
    channel.fire(at.CHANNEL_CREATE)
    if channel.direction == "outbound":
        channel.fire(at.CHANNEL_ORIGINATE)
    yield from lifecycle.states(channel)


def _rejoin(first: Channel, second: Channel) -> None:
    if not first.down and not second.down:
        joining.join(first, second)
