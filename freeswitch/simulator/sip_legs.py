"""Legs that come over SIP: a channel is made of each, and what becomes of the channel is said over SIP.

The sound's side is made ready before the channel begins, so that its answer is at hand when the dialplan answers.
"""

from collections import deque
from collections.abc import Callable

from freeswitch.simulator import answering, codec, keys
from freeswitch.simulator import sip_dialog as sip
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.media import Media, Port
from freeswitch.simulator.rtp import KEYS
from freeswitch.simulator.scripts import Caller
from freeswitch.simulator.sdp import reply_phrase
from freeswitch.simulator.sound import key_tones
from freeswitch.simulator.switch import Refused, Switch
from freeswitch.simulator.timing import Timer
from freeswitch.simulator.traffic import call_in
from freeswitch.simulator.webrtc_sdp import OfferError, read_offer
from freeswitch.words import CAUSES

PROFILE = "inside"
MOST_TONES = 1_000
"""Frames of keys that wait; the oldest are dropped."""
UNACKNOWLEDGED_S = 32.0
"""How long an answer waits for its ACK (64 · T1)."""

StartSoon = Callable[..., object]
SwitchOf = Callable[[], Switch]
"""The switch of the moment: a restart makes another one."""


class SipLeg:
    """What stands between a channel and its dialog."""

    def __init__(
        self, dialog: sip.Dialog, offer: str, port: Port, answer: str, release: Callable[[Port], None]
    ) -> None:
        self.dialog = dialog
        self.offer = offer
        self.port = port
        self.answer = answer
        """The SDP that the other side gets, or got last."""
        self._release = release
        self._unacknowledged: Timer | None = None
        self.tones: deque[bytes] = deque(maxlen=MOST_TONES)
        """Keys that the other side is to hear, because it does not take them as keys."""
        self.media_timeout_s = 0.0
        """After so long without a packet the leg ends; 0: never."""
        self.channel: Channel | None = None

    @property
    def name(self) -> str:
        """How the channel is called."""
        return f"sofia/{PROFILE}/{self.dialog.user}@{self.dialog.host}"

    def arrive(self, channel: Channel) -> None:
        """Write what the INVITE has brought over what any INVITE brings."""
        self.channel = channel
        dialog = self.dialog
        coded = read_offer(self.offer).codec
        name, rate = coded.name.lower() if coded.name.lower() == "opus" else coded.name, str(coded.clock_rate)
        channel.set_many(
            {
                "sip_from_uri": f"{dialog.user}@{dialog.host}",
                "sip_from_host": dialog.host,
                "sip_via_protocol": "tcp",
                "sip_call_id": dialog.call_id,
                "sip_from_tag": dialog.tags[0],
                "sip_full_from": dialog.remote,
                "sip_full_via": dialog.via,
                "sip_to_tag": dialog.tags[1],
                "switch_r_sdp": self.offer,
                "ep_codec_string": f"mod_opus.opus@{rate}h@20i@2c"
                if name == "opus"
                else f"CORE_PCM_MODULE.{name}@8000h@20i@64000b",
                "rtp_use_codec_string": "opus,PCMU,PCMA",
                "rtp_audio_recv_pt": str(coded.payload_type),
                "rtp_use_codec_name": name,
                "rtp_use_codec_rate": rate,
                "rtp_last_audio_codec_string": f"{name}@{rate}h@20i@1c",
                "read_codec": name,
                "original_read_codec": name,
                "read_rate": rate,
                "original_read_rate": rate,
                "write_codec": name,
                "write_rate": rate,
            }
        )
        codec.agree(channel, name)

    def start_media(self, channel: Channel) -> None:
        """Write what a 200 or 183 leaves."""
        channel.set("rtp_local_sdp_str", self.answer)
        channel.set("local_media_ip", channel.switch.settings.host)
        channel.set("rtp_use_timer_name", "soft")
        limit = channel.get("media_timeout") or ""
        self.media_timeout_s = int(limit) / 1000 if limit.isdigit() else 0.0
        if channel.switch.hearing is not None:
            channel.switch.hearing.add(self, channel)

    def send_keys(self, pressed: list[tuple[str, int]]) -> None:
        """Send keys, each with its length in milliseconds, to the other side; pauses (w, W) and flashes are left out."""
        for key, milliseconds in pressed:
            if key.upper() not in KEYS:
                continue
            if self.port.takes_keys:
                self.port.keys.append((key, milliseconds))
            else:
                self.tones.extend(key_tones(key, milliseconds))

    def ring(self) -> None:
        """180."""
        self.dialog.progress(180, "Ringing")

    def pre_answer(self) -> None:
        """183 with the answer."""
        self.dialog.progress(183, "Session Progress", self.answer)

    def accept(self, channel: Channel) -> None:
        """200 with the answer."""
        self.dialog.accept(self.answer)
        self._unacknowledged = channel.switch.threads.after(
            UNACKNOWLEDGED_S, channel.hang_up, "RECOVERY_ON_TIMER_EXPIRE"
        )

    def acknowledged(self) -> None:
        """The ACK is here."""
        if self._unacknowledged is not None:
            self._unacknowledged.cancel()
            self._unacknowledged = None

    def lose(self) -> None:
        """The machine is gone: nothing is said."""
        self.acknowledged()
        self.dialog.lose()
        self._release(self.port)

    def hang_up(self, cause: str) -> None:
        """BYE or a refusal, unless the other side has ended the leg."""
        self.acknowledged()
        known = CAUSES.get(cause)
        number = known.number if known else 31
        if self.dialog.answered:
            self.dialog.bye(cause, number)
        else:
            status = (known.sip if known else 0) or 480
            self.dialog.refuse(status, reply_phrase(status), cause=cause, number=number)
        self._release(self.port)


class Legs:
    """All of them."""

    def __init__(self, switch: SwitchOf, media: Media, start_soon: StartSoon) -> None:
        """``start_soon`` runs an async function and its arguments beside the rest."""
        self._switch = switch
        self._media = media
        self._start_soon = start_soon
        self._legs: dict[sip.Dialog, SipLeg] = {}

    def handle(self, event: sip.Event) -> None:
        """What the profile's SIP brings."""
        if isinstance(event, sip.Offered):
            self._start_soon(self._begin, event.dialog, event.sdp)
            return
        leg = self._legs.get(event.dialog)
        channel = None if leg is None else leg.channel
        if leg is None or channel is None or channel.down:
            return
        if isinstance(event, sip.Renewed):
            self._start_soon(self._renew, leg, channel, event.sdp)
        elif isinstance(event, sip.Acknowledged):
            leg.acknowledged()
            channel.set("sip_cseq", str(event.cseq))
        elif isinstance(event, sip.Pressed):
            keys.press(channel, event.key, "INFO", event.milliseconds * 8)
        else:
            answering.far_end_hangs_up(channel)

    def drop(self) -> None:
        """Forget every leg without a word."""
        for leg in self._legs.values():
            self._media.release(leg.port)
        self._legs.clear()

    def _release(self, dialog: sip.Dialog) -> Callable[[Port], None]:
        def release(port: Port) -> None:
            self._legs.pop(dialog, None)
            self._media.release(port)

        return release

    async def _begin(self, dialog: sip.Dialog, offer: str) -> None:
        try:
            port, answer = await self._media.answer(offer)
        except OfferError:
            dialog.refuse(488, "Not Acceptable Here", cause="INCOMPATIBLE_DESTINATION", number=88)
            return
        leg = self._legs[dialog] = SipLeg(dialog, offer, port, answer, self._release(dialog))
        if dialog.ended:
            leg.hang_up("ORIGINATOR_CANCEL")
            return
        host, number = dialog.line.peer
        caller = Caller(
            destination=dialog.number,
            number=dialog.user,
            profile=PROFILE,
            ip=host,
            port=number,
            headers=dialog.extra,
        )
        try:
            call_in(self._switch(), caller, leg=leg, uuid=dialog.call_id)
        except Refused:
            dialog.refuse(503, "Maximum Calls In Progress")
            self._release(dialog)(port)

    async def _renew(self, leg: SipLeg, channel: Channel, offer: str) -> None:
        try:
            _, leg.answer = await self._media.answer(offer, leg.port)
        except OfferError:
            leg.dialog.refuse(488, "Not Acceptable Here")
            return
        if not channel.down:
            channel.set("switch_r_sdp", offer)
            channel.set("rtp_local_sdp_str", leg.answer)
            leg.dialog.accept(leg.answer)
