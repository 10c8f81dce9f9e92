"""The people at the far ends: they ring, pick up, press keys, talk and hang up, as their script says.

They stand outside FreeSWITCH: what they do reaches a channel only as SIP would bring it (180, 183, 200,
BYE, CANCEL, a refusal, a telephone-event).
"""

from collections.abc import Callable
from functools import partial

from freeswitch.simulator import answering, codec, holding, keys, sip
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.scripts import Person
from freeswitch.simulator.sdp import reply_phrase
from freeswitch.simulator.timing import Thread
from freeswitch.words import CAUSES

KEY_GAP_S = 0.2
KEY_SAMPLES = 1600
"""How long a key is held, in samples at 8 kHz."""


def caller(channel: Channel, person: Person) -> Thread:
    """Play the person who called us: wait for the answer, talk, hang up."""
    switch = channel.switch
    patience = person.patience.draw(switch.rng)
    deadline = switch.monotonic() + patience
    while not channel.answered and not channel.down:
        left = deadline - switch.monotonic()
        if left <= 0:
            answering.far_end_hangs_up(channel)
            return
        yield None if left == float("inf") else left
    yield from _talk(channel, person)


def callee(channel: Channel, person: Person, target: str) -> Thread:
    """Play the person we call: ring, then pick up, refuse, or neither."""
    rng = channel.switch.rng
    status = person.refuse_status or (CAUSES[person.refuse].sip if person.refuse in CAUSES else 0)
    if not person.refuse or person.answer_after.low > 0:
        if not (yield from _sleep(channel, person.ring_after.draw(rng))):
            return
        sip.ring(channel, target)
        if channel.profile is not None and not channel.profile.network_addr:
            channel.profile.set(network_addr=target.partition("@")[2].partition(":")[0])
        if person.early_media:
            media = sip.offered(channel, target)
            channel.set("endpoint_disposition", "EARLY MEDIA")
            answering.mark_pre_answered(channel)
            codec.agree(channel)
            sip.accept(channel, target, media)
        else:
            answering.ring_ready(channel)
        channel.wake()
    wait = person.answer_after.draw(rng)
    if wait == float("inf"):
        return
    if not (yield from _sleep(channel, wait)):
        return
    if person.refuse:
        cause = CAUSES.get(person.refuse)
        sip.refused(channel, status, reply_phrase(status), cause.number if cause else 31)
        channel.hang_up(person.refuse)
        return
    if not channel.early:
        _media(channel, target)
    answering.mark_answered(channel)
    yield from _talk(channel, person)


def _media(channel: Channel, target: str) -> None:
    codec.agree(channel)
    sip.accept(channel, target, sip.offered(channel, target))


def _sleep(channel: Channel, seconds: float) -> Thread:
    """Wait; False when the channel went down meanwhile."""
    deadline = channel.switch.monotonic() + seconds
    while not channel.down:
        left = deadline - channel.switch.monotonic()
        if left <= 0:
            return True
        yield left
    return False


def _talk(channel: Channel, person: Person) -> Thread:
    switch = channel.switch
    began = switch.monotonic()
    talk = person.talk.draw(switch.rng)
    deeds: list[tuple[float, Callable[[], None]]] = []
    for digits in person.digits:
        for n, key in enumerate(digits.keys):
            deeds.append((digits.after_s + n * KEY_GAP_S, partial(_press, channel, key)))
    for hold in person.holds:
        deeds.append((hold.after_s, partial(holding.hold, channel)))
        deeds.append((hold.after_s + hold.for_s, partial(holding.unhold, channel)))
    for after, do in sorted(deeds, key=lambda deed: deed[0]):
        if after > talk:
            break
        if not (yield from _sleep(channel, began + after - switch.monotonic())):
            return
        do()
    if talk != float("inf") and (yield from _sleep(channel, began + talk - switch.monotonic())):
        answering.far_end_hangs_up(channel)


def _press(channel: Channel, key: str) -> None:
    keys.press(channel, key, samples=KEY_SAMPLES)
