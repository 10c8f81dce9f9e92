"""Inbound calls: one INVITE, and the streams of callers who come by themselves."""

from typing import TYPE_CHECKING

from freeswitch.simulator import channel as ch
from freeswitch.simulator import codec, lifecycle, names, people, sip_in
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.profile import Profile
from freeswitch.simulator.scripts import Caller, Person, Traffic, Visit
from freeswitch.simulator.switch import Refused, Switch
from freeswitch.simulator.timing import Thread

if TYPE_CHECKING:
    from freeswitch.simulator.sip_legs import SipLeg


def call_in(
    switch: Switch,
    caller: Caller,
    person: Person | None = None,
    *,
    uuid: str = "",
    leg: "SipLeg | None" = None,
) -> Channel:
    """Let ``caller`` call the switch; ``leg`` when that came over SIP and nobody has to play them.

    Raises `Refused` when the switch answers 503 instead.
    """
    name = leg.name if leg else f"sofia/{caller.profile}/{caller.number}@{caller.ip}:{caller.port}"
    channel = switch.new_channel(uuid, name, "inbound")
    channel.leg = leg
    channel.pitch = person.pitch if person is not None else 0
    switch.calls_in[caller.profile] = switch.calls_in.get(caller.profile, 0) + 1
    channel.enter(ch.NEW)
    shown = caller.name
    if switch.invalid_utf8 and shown:
        shown = shown[:2] + "\udcff" + shown[2:]
    channel.profile = Profile(
        direction="inbound",
        uuid=channel.uuid,
        created_us=switch.clock.now_us(),
        username=caller.number,
        dialplan="XML",
        caller_id_name=shown,
        caller_id_number=caller.number,
        orig_caller_id_name=shown,
        orig_caller_id_number=caller.number,
        network_addr=caller.ip,
        ani=caller.number,
        destination=caller.destination,
        source="mod_sofia",
        context=caller.context or caller.profile,
        channel_name=channel.name,
    )
    channel.initial = (caller.destination, "XML", channel.profile.context)
    sip_in.arrive(channel, caller)
    if leg is not None:
        leg.arrive(channel)
    else:
        codec.agree(channel)
    channel.thread = switch.threads.spawn(lifecycle.inbound_thread(channel))
    if leg is None:
        channel.driver = switch.threads.spawn(people.caller(channel, person or Person()))
    return channel


class Stream:
    """Callers who come at a rate; ``per_second`` may be changed while it runs."""

    def __init__(self, switch: Switch, traffic: Traffic) -> None:
        self._switch = switch
        self.traffic = traffic
        self.per_second = traffic.per_second
        self.total = traffic.total
        self.arrived = 0
        self.refused = 0
        self.skipped = 0
        self._live: set[str] = set()
        self._weights = [visit.weight for visit in traffic.visits]
        self._due = 0.0
        self._running = switch.threads.spawn(self._run())

    def rate(self, per_second: float) -> None:
        """Change the rate from now on."""
        self.per_second = per_second
        self._due = self._switch.monotonic()
        self._running.wake()

    def _gap(self) -> float:
        if self.traffic.poisson:
            return self._switch.rng.expovariate(self.per_second)
        return 1 / self.per_second

    def _run(self) -> Thread:
        switch = self._switch
        self._due = switch.monotonic()
        while True:
            if self.per_second <= 0 or (self.total and self.arrived >= self.total):
                yield None
                continue
            # Arrivals are planned on a line of their own: a busy moment makes them late, not fewer.
            self._due += self._gap()
            wait = self._due - switch.monotonic()
            if wait > 0 and (yield wait):
                continue
            self._arrive()

    def _arrive(self) -> None:
        switch = self._switch
        self.arrived += 1
        if len(self._live) >= self.traffic.limit:
            self._live &= switch.channels.keys()
            if len(self._live) >= self.traffic.limit:
                self.skipped += 1
                return
        visit = switch.rng.choices(self.traffic.visits, self._weights)[0]
        try:
            channel = call_in(switch, self._caller(visit), visit.person)
        except Refused:
            self.refused += 1
            return
        self._live.add(channel.uuid)

    def _caller(self, visit: Visit) -> Caller:
        rng = self._switch.rng
        number, name = names.draw(rng)
        return Caller(
            destination=rng.choice(visit.destinations),
            number=number,
            name=name,
            profile=visit.profile,
            context=visit.context,
            ip=f"198.51.100.{rng.randrange(2, 250)}",
            port=5060,
        )
