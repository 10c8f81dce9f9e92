"""Who hears what: every 20 ms each leg that has sound is given a frame, as the state of its channel says.

A leg *says* what its far end says: a browser its microphone, a simulated person a tone of their own pitch. It *hears* what
is played to it, the other leg of its bridge, the others in its room, or those it listens to. Muting, whispering and
recording act on these two, as FreeSWITCH's media bugs do. Only legs that came over SIP are served, and those they are
connected with: 20,000 simulated calls without a browser cost nothing here.
"""

from typing import TYPE_CHECKING

from msgspec import Struct

from freeswitch.simulator import keys, sound
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.media import FRAME_S, RATE, SILENCE, Media

if TYPE_CHECKING:
    from freeswitch.simulator.sip_legs import SipLeg
    from freeswitch.simulator.switch import Switch

MOST_BEHIND = 10
"""Frames that are made up for when the program was kept from its work; what is beyond is lost, and counted."""


class Spying(Struct):
    """An ``eavesdrop`` that runs: whose, on whom, and who hears the listener."""

    listener: Channel
    target: Channel
    to_target: bool = False
    to_others: bool = False


class Hearing:
    """The sound of one switch."""

    def __init__(self, switch: "Switch", media: Media) -> None:
        self._switch = switch
        self._media = media
        self._legs: dict[Channel, SipLeg] = {}
        self._spying: list[Spying] = []
        self._number = 0
        self._due = 0.0
        self._says: dict[Channel, bytes] = {}
        self._hears: dict[Channel, bytes] = {}
        self._microphones: dict[Channel, bytes] = {}
        self._alive: dict[Channel, tuple[int, float]] = {}
        """How many packets each far end had sent, and when the last of them was seen."""
        self._recorded: set[Channel] = set()
        self.late = 0
        """Frames that were lost because the program was kept from its work."""

    def add(self, leg: "SipLeg", channel: Channel) -> None:
        """A leg with sound has media from now on."""
        first = not self._legs
        self._legs[channel] = leg
        self._alive[channel] = (leg.port.packets_in, self._switch.monotonic())
        if first:
            self._due = self._switch.monotonic()
            self._switch.threads.after(FRAME_S, self._run)

    def spy(self, spying: Spying) -> None:
        """Somebody begins to listen to a channel."""
        self._spying.append(spying)

    def unspy(self, spying: Spying) -> None:
        """It is over."""
        self._spying.remove(spying)

    # -- time ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        now = self._switch.monotonic()
        behind = int((now - self._due) / FRAME_S)
        if behind > MOST_BEHIND:
            self.late += behind - MOST_BEHIND
            self._due += (behind - MOST_BEHIND) * FRAME_S
        while self._due + FRAME_S <= now and self._legs:
            self._due += FRAME_S
            self._frame(now)
        self._media.flush()
        if self._legs:
            self._switch.threads.after(max(0.0, self._due + FRAME_S - now), self._run)

    def _frame(self, now: float) -> None:
        self._number += 1
        self._hears, self._says = {}, {}
        for channel, leg in list(self._legs.items()):
            if channel.down:
                del self._legs[channel], self._alive[channel]
                self._microphones.pop(channel, None)
                continue
            self._microphones[channel] = leg.port.pull() or SILENCE
            for key, milliseconds in leg.port.pressed():
                keys.press(channel, key, samples=milliseconds * RATE // 1000)
            self._watch(channel, leg, now)
        for channel, leg in list(self._legs.items()):
            heard = self.hears(channel)
            leg.port.push(leg.tones.popleft() if leg.tones else heard)
        self._record()

    def _watch(self, channel: Channel, leg: "SipLeg", now: float) -> None:
        """End a leg whose far end has sent nothing for too long (``media_timeout``)."""
        packets, since = self._alive[channel]
        if leg.port.packets_in != packets:
            self._alive[channel] = (leg.port.packets_in, now)
        elif leg.media_timeout_s and now - since > leg.media_timeout_s:
            channel.hang_up("MEDIA_TIMEOUT")

    # -- what a leg says and hears -------------------------------------------------------------------

    def says(self, channel: Channel) -> bytes:
        """This frame of what the far end of a channel says."""
        found = self._says.get(channel)
        if found is None:
            self._says[channel] = SILENCE  # (should it come back to itself)
            found = self._says[channel] = self._said(channel)
        return found

    def _said(self, channel: Channel) -> bytes:
        if channel.down or "read" in channel.muted:
            return SILENCE
        if channel.leg is not None:
            return self._microphones.get(channel, SILENCE)
        if channel.name.startswith("loopback/"):
            mate = self._switch.channels.get(channel.get("other_loopback_leg_uuid") or "")
            return SILENCE if mate is None else self.hears(mate)
        if channel.held or not (channel.answered or channel.early):
            return SILENCE
        if not channel.answered:
            return self._ringing() if channel.direction == "outbound" else SILENCE
        return sound.voice(channel.pitch or sound.pitch_of(channel.uuid), self._number)

    def _ringing(self) -> bytes:
        """What the network plays while somebody is called: a second of tone, four of nothing."""
        return sound.steady((425,), sound.TONE_LEVEL, self._number) if self._number % 250 < 50 else SILENCE

    def hears(self, channel: Channel) -> bytes:
        """This frame of what the far end of a channel hears."""
        found = self._hears.get(channel)
        if found is None:
            self._hears[channel] = SILENCE
            found = self._hears[channel] = self._heard(channel)
        return found

    def _heard(self, channel: Channel) -> bytes:
        if channel.down or "write" in channel.muted:
            return SILENCE
        whispers = [
            self.says(one.listener) for one in self._spying if one.target is channel and one.to_target
        ]
        return sound.mixed(self._played(channel), *whispers)

    def _played(self, channel: Channel) -> bytes:
        if channel.playing is not None:
            return next(channel.playing, SILENCE)
        if channel.conference is not None:
            return self._room(channel)
        if channel.partner is not None:
            return self._through(channel.partner)
        if "echo" in channel.flags:
            return self.says(channel)
        for one in self._spying:
            if one.listener is channel:
                return sound.mixed(self.says(one.target), self._played_to(one.target))
        return SILENCE

    def _played_to(self, target: Channel) -> bytes:
        """What somebody hears who is listened to, without what is whispered to them."""
        if target.partner is not None and target.playing is None:
            return self._through(target.partner)
        return self.hears(target)

    def _through(self, channel: Channel) -> bytes:
        """What comes out of a leg into its bridge."""
        if channel.playing is not None:
            return SILENCE  # its own thread is busy with the sound
        whispers = [
            self.says(one.listener) for one in self._spying if one.target is channel and one.to_others
        ]
        return sound.mixed(self.says(channel), *whispers)

    def _room(self, channel: Channel) -> bytes:
        member = channel.conference
        if member is None or not member.hear:
            return SILENCE
        others = [one for one in member.room.members.values() if one is not member and one.speak]
        return sound.mixed(*(self.says(one.channel) for one in others))

    # -- recordings ----------------------------------------------------------------------------------

    def _record(self) -> None:
        """Let the recordings of every leg that was served, or is connected with one that was, hear what was said."""
        near = self._near()
        for channel in self._recorded - near:
            for recording in channel.recordings.values():
                # (those of a leg that is down are about to be closed)
                recording.listen(live=channel.down)
        for channel in near:
            for recording in list(channel.recordings.values()):
                recording.listen(live=True)
                recording.hear(self.says(channel), self.hears(channel))
        self._recorded = {channel for channel in near if channel.recordings}

    def _near(self) -> set[Channel]:
        found: set[Channel] = set()
        for channel in self._legs:
            found.add(channel)
            if channel.partner is not None:
                found.add(channel.partner)
            if channel.conference is not None:
                found.update(one.channel for one in channel.conference.room.members.values())
        return found
