"""Every capture of a real FreeSWITCH, played again: same callers, same commands, and then the same bytes come back.

Compared are the text of every answer, the order of events on each channel (with state, call state, answer
state, cause, application), and the names of all headers of every event, in order. Uuids, times and counters
differ from run to run and are taken out first. What else differs is in one table, `ALLOWED`, with reasons.
"""

import difflib
import functools
import re
from collections.abc import Iterator

import msgspec
import pytest

from freeswitch.simulator import SimulatorSettings, recovery
from freeswitch.simulator.scripts import NEVER, Extension, Person
from tests.simulator.bench import Bench
from tests.simulator.replay import Recorded, Replay, Seen, blank, caller_of

NAMES = (
    "bridge", "conference", "filters", "heartbeat", "inbound-echo", "inbound-echo-json", "inbound-echo-xml",
    "load-200-calls", "originate", "outbound-async", "outbound-sync", "park-control", "record-dialplan",
    "recovery", "recovery-parked", "registration",
)  # fmt: skip

SIP_ANSWER = frozenset(
    f"variable_{name}"
    for name in [
        "sip_to_tag",
        "sip_from_tag",
        "sip_cseq",
        "sip_call_id",
        "sip_full_via",
        "sip_from_display",
        "sip_full_from",
        "sip_full_to",
    ]
)
"""Set when the far end's ACK arrives, which is any moment after our 200: compared at the end of a leg only."""

SIP_TAKEOVER = SIP_ANSWER | frozenset(
    f"variable_{name}"
    for name in [
        "sip_local_network_addr",
        "sip_reply_host",
        "sip_reply_port",
        "sip_network_ip",
        "sip_network_port",
        "dlg_req_swap_direction",
        "sip_recover_contact",
        "sip_recover_via",
        "sip_to_display",
        "sip_from_user",
        "sip_from_port",
        "sip_from_uri",
        "sip_from_host",
        "sip_to_user",
        "sip_to_port",
        "sip_to_uri",
        "sip_to_host",
        "sip_contact_user",
        "sip_contact_port",
        "sip_contact_uri",
        "sip_contact_host",
        "switch_r_sdp",
        "ep_codec_string",
        "rtp_use_codec_string",
        "remote_video_media_flow",
        "remote_text_media_flow",
        "remote_audio_media_flow",
        "remote_media_ip",
        "remote_media_port",
        "rtp_audio_recv_pt",
        "dtmf_type",
        "rtp_2833_send_payload",
        "rtp_2833_recv_payload",
        "call_uuid",
        "bridge_to",
    ]
)
"""The same for the answer to a standby's re-INVITE."""


class Allowed(msgspec.Struct, frozen=True):
    """A difference that remains, and why it does."""

    capture: str
    """A regular expression for names of captures."""
    difference: str
    """A regular expression for differences as `differences` writes them."""
    reason: str


ALLOWED = (
    Allowed("filters", r"answer api status: .UP ", "one minute, or two minutes: the capture's switch was younger"),
    Allowed("registration", r"answer api sofia xmlstatus .*: -.*ws-bind-url",
            "that profile also listened for WebSockets; the simulator's never do"),
    Allowed("bridge", r"header c1 CHANNEL_(HANGUP_COMPLETE|DESTROY) .variable_(call_uuid|bridge_hangup_cause)",
            "a race: which leg of the bridge reports first"),
    Allowed("recovery", r"event c\d+ .CHANNEL_STATE CONSUME_MEDIA/7/DOWN ",
            "a race: the second leg passes through CS_CONSUME_MEDIA in no time, or just long enough to say so"),
    Allowed("recovery", r"header c\d+ \w+ .Other-Leg-(Callee-ID-|Profile-Created|Channel-.*(Time|Hold|Accum))",
            "the callee's profile comes out of the database without times, the simulator's has them"),
    Allowed("recovery", r"header c\d+ \w+ .variable_(last_bridge_to|switch_m_sdp|(video|text|audio)_media_flow"
            r"|bridge_channel|bridge_uuid|bridge_hangup_cause)",
            "a race: in which order both legs of a bridge are written to"),
    Allowed("recovery", r"header c\d+ \w+ .variable_(signal_bond|sip_contact_params)",
            "what the other SIP agent of that lab sent"),
    Allowed("recovery(-parked)?", r"header c\d+ \w+ .variable_(sip_via_rport|endpoint_disposition|tenant_id)",
            "what was in the database when the first switch was killed: some legs were a step further"),
    Allowed("recovery", r"event - .TRAP", "the lab's address moved from machine to machine, and the core noticed"),
    Allowed("recovery", r"event - -RE_SCHEDULE", "the core's check of its own address, which the simulator has no use for"),
)  # fmt: skip


# -- playing -----------------------------------------------------------------------------------------

_HA: dict[str, tuple[Extension, ...]] = {
    "default": (
        Extension("^9000$", (("answer", None), ("set", "tenant_id=t-77"), ("park", None))),
        Extension(
            "^(1415555....)$",
            (
                ("set", "hangup_after_bridge=true"),
                ("set", "tenant_id=t-77"),
                ("export", "nolocal:leg_tag=b-side"),
                ("bridge", "sofia/vip100/${destination_number}@10.77.0.21:15060"),
            ),
        ),
    )
}


def _dying(real: Recorded) -> list[recovery.Row]:
    """Let a first switch have the calls of the capture, and return what it would have left in the database."""
    bench = Bench(
        SimulatorSettings(
            port=0, seed=5, contexts=_HA, profiles=("vip100",), hostname="ha1", ipv4="10.77.0.100"
        )
    )
    for uuid in real.legs:
        created = next(one for one in real.of(uuid) if one.name == "CHANNEL_CREATE")
        if created.get("Call-Direction") == "inbound":
            caller = msgspec.structs.replace(caller_of(created), subject="", trace="")
            bench.call(caller, Person(), uuid=uuid)
            bench.run(0.05)
    bench.run(3)
    return recovery.remember(bench.switch, NEVER)


@functools.cache
def played(name: str) -> tuple[Recorded, Recorded]:
    """The capture, and what the simulator sent in its place."""
    if name.startswith("recovery"):
        replay = Replay(name, profiles=("vip100",))
        replay.recoverable(_dying(replay.real))
        replay.byes()
    else:
        replay = Replay(name)
        replay.callers()
        replay.phones()
    return replay.real, replay.run()


# -- comparing ---------------------------------------------------------------------------------------


def _legs(real: Recorded, ours: Recorded) -> list[tuple[str, str]]:
    """Pair the channels: by uuid where the replay gave them theirs, by order where the switch chose."""
    theirs, own = real.legs, ours.legs
    same = [(uuid, uuid) for uuid in theirs if uuid in own]
    rest = zip([u for u in theirs if u not in own], [u for u in own if u not in theirs], strict=False)
    return same + list(rest)


def _key(one: Seen) -> str:
    states = "/".join(
        one.get(name) for name in ("Channel-State", "Channel-State-Number", "Channel-Call-State")
    ).removeprefix("CS_")
    words = [
        one.get(name) for name in ("Answer-State", "Hangup-Cause", "Application", "Application-Response")
    ]
    return " ".join([one.name, states, *words]).rstrip()


def _changed(before: list[str], after: list[str]) -> Iterator[str]:
    for line in difflib.unified_diff(before, after, lineterm="", n=0):
        if not line.startswith(("---", "+++", "@@")):
            yield line


def _answers(real: Recorded, ours: Recorded, theirs: dict[str, str], own: dict[str, str]) -> Iterator[str]:
    if len(real.answers) != len(ours.answers):
        yield f"answers: {len(ours.answers)} instead of {len(real.answers)}"
    # The connection answers in order; an outbound one swallows one reply and starts with connect.
    for (_, command), a, b in zip(real.sent, real.answers, ours.answers, strict=False):
        said = command.split("\n")[0]
        # A call's own headers in the answer to connect are compared by name: values are the call's.
        event = any(name == "Socket-Mode" for name, _ in a.envelope)
        head = [
            [name if event else f"{name}: {blank(value, names)}" for name, value in frame.envelope
             if name != "Content-Length"]
            for frame, names in ((a, theirs), (b, own))
        ]  # fmt: skip
        for line in _changed(*head):
            yield f"answer {said}: {line}"
        body = [
            blank(frame.body.decode("utf-8", "surrogateescape"), names).splitlines()
            for frame, names in ((a, theirs), (b, own))
        ]
        if command.startswith("api uuid_dump"):
            # Names only, as with events: this is one.
            body = [
                [name for name in (line.partition(":")[0] for line in lines) if name not in SIP_ANSWER]
                for lines in body
            ]
        for line in _changed(*body):
            yield f"answer {said}: {line}"


def _events(leg: str, before: list[Seen], after: list[Seen], floating: frozenset[str]) -> Iterator[str]:
    keys, ours = [_key(one) for one in before], [_key(one) for one in after]
    for line in _changed(keys, ours):
        yield f"event {leg} {line}"
    blocks = difflib.SequenceMatcher(None, keys, ours, autojunk=False).get_matching_blocks()
    for block in blocks:
        for n in range(block.size):
            a, b = before[block.a + n], after[block.b + n]
            names = [[name for name, _ in one.pairs if name not in floating] for one in (a, b)]
            for line in _changed(*names):
                yield f"header {leg} {a.name} {line}"
            if a.name == "CHANNEL_DESTROY":
                ends = [{name for name, _ in one.pairs if name in floating} for one in (a, b)]
                for name in sorted(ends[0] ^ ends[1]):
                    yield f"header {leg} {a.name} at the end {name}"


def differences(name: str) -> list[str]:
    """Everything that differs between a capture and its replay, each in one line."""
    real, ours = played(name)
    legs = _legs(real, ours)
    theirs = {uuid: f"leg{n}" for n, (uuid, _) in enumerate(legs)}
    own = {uuid: f"leg{n}" for n, (_, uuid) in enumerate(legs)}
    floating = SIP_TAKEOVER if name.startswith("recovery") else SIP_ANSWER
    found = list(_answers(real, ours, theirs, own))
    for n, (a, b) in enumerate(legs):
        found += _events(f"c{n}", real.of(a), ours.of(b), floating)
    rest = [
        [one for one in recorded.events if one.uuid not in names and not one.old_uuid]
        for recorded, names in ((real, theirs), (ours, own))
    ]
    # The replay goes on for a while after the capture has ended, and so does its heart.
    beats = sum(one.name == "HEARTBEAT" for one in rest[0])
    for kind in ("HEARTBEAT", "RE_SCHEDULE"):
        late = [one for one in rest[1] if one.name == kind][beats:]
        rest[1] = [one for one in rest[1] if one not in late]
    found += _events("-", rest[0], rest[1], frozenset())
    if len(real.legs) != len(ours.legs):
        found.append(f"legs: {len(ours.legs)} instead of {len(real.legs)}")
    notices = [[f"{f.kind} {f.header('Content-Disposition')}" for f in one.others] for one in (real, ours)]
    found += [f"notice {line}" for line in _changed(*notices)]
    return found


# -- the tests ---------------------------------------------------------------------------------------


def _permitted(name: str, difference: str) -> bool:
    return any(re.fullmatch(one.capture, name) and re.match(one.difference, difference) for one in ALLOWED)


@pytest.mark.parametrize("name", NAMES)
def test_the_simulator_sends_what_freeswitch_sent(name: str) -> None:
    unexpected = [one for one in differences(name) if not _permitted(name, one)]
    assert unexpected == []


def test_every_difference_that_is_allowed_still_exists() -> None:
    for allowed in ALLOWED:
        names = [name for name in NAMES if re.fullmatch(allowed.capture, name)]
        found = [one for name in names for one in differences(name) if re.match(allowed.difference, one)]
        assert found, allowed


@pytest.mark.parametrize("name", ["inbound-echo", "park-control", "bridge", "conference"])
def test_a_replay_with_the_same_seed_and_clock_sends_the_same_bytes(name: str) -> None:
    def stream() -> bytes:
        replay = Replay(name)
        replay.callers()
        replay.run()
        assert replay.peer is not None
        return bytes(replay.peer.received)

    first = stream()
    assert len(first) > 50_000
    assert stream() == first
