"""What a channel carries at its end: durations, stamps, causes and RTP counters, only from HANGUP_COMPLETE on.

The arithmetic is switch_channel_set_timestamps': seconds are differences of whole seconds and milliseconds
of whole milliseconds, so ``billsec`` is not ``billmsec`` divided by a thousand.
"""

from freeswitch.simulator.channel import Channel
from freeswitch.simulator.profile import Profile
from freeswitch.simulator.timing import local_text
from freeswitch.words import CAUSES

_RTP = (
    ("rtp_audio_in_raw_bytes", "{in_bytes}"),
    ("rtp_audio_in_media_bytes", "{in_bytes}"),
    ("rtp_audio_in_packet_count", "{in_packets}"),
    ("rtp_audio_in_media_packet_count", "{in_packets}"),
    ("rtp_audio_in_skip_packet_count", "{skipped}"),
    ("rtp_audio_in_jitter_packet_count", "0"),
    ("rtp_audio_in_dtmf_packet_count", "0"),
    ("rtp_audio_in_cng_packet_count", "0"),
    ("rtp_audio_in_flush_packet_count", "0"),
    ("rtp_audio_in_largest_jb_size", "0"),
    ("rtp_audio_in_jitter_min_variance", "0.00"),
    ("rtp_audio_in_jitter_max_variance", "0.00"),
    ("rtp_audio_in_jitter_loss_rate", "0.00"),
    ("rtp_audio_in_jitter_burst_rate", "0.00"),
    ("rtp_audio_in_mean_interval", "0.00"),
    ("rtp_audio_in_flaw_total", "0"),
    ("rtp_audio_in_quality_percentage", "100.00"),
    ("rtp_audio_in_mos", "4.50"),
    ("rtp_audio_out_raw_bytes", "{out_bytes}"),
    ("rtp_audio_out_media_bytes", "{out_bytes}"),
    ("rtp_audio_out_packet_count", "{out_packets}"),
    ("rtp_audio_out_media_packet_count", "{out_packets}"),
    ("rtp_audio_out_skip_packet_count", "0"),
    ("rtp_audio_out_dtmf_packet_count", "0"),
    ("rtp_audio_out_cng_packet_count", "0"),
    ("rtp_audio_rtcp_packet_count", "0"),
    ("rtp_audio_rtcp_octet_count", "0"),
)
_SECOND = 1_000_000


def set_durations(channel: Channel) -> None:
    """Write causes, stamps and durations; called once, when the channel's thread has noticed the hangup."""
    profile = channel.profile
    cause = channel.hangup_cause
    fresh: dict[str, str] = {
        "hangup_cause": cause,
        "hangup_cause_q850": str(_q850(cause)),
        "digits_dialed": channel.digits_dialed or "none",
    }
    if profile is None:
        channel.set_many(fresh)
        return
    end = profile.hungup
    start, profile_start = profile.created, profile.profile_created
    fresh["start_stamp"] = local_text(start)
    fresh["profile_start_stamp"] = local_text(profile_start)
    if profile.answered:
        fresh["answer_stamp"] = local_text(profile.answered)
    if profile.bridged:
        fresh["bridge_stamp"] = local_text(profile.bridged)
    if profile.last_hold:
        fresh["hold_stamp"] = local_text(profile.last_hold)
        fresh["hold_events"] = "{" + ",".join(f"{{{a},{b}}}" for a, b in channel.hold_spans) + "}"
    if profile.resurrected:
        fresh["resurrect_stamp"] = local_text(profile.resurrected)
    if profile.progress:
        fresh["progress_stamp"] = local_text(profile.progress)
    if profile.progress_media:
        fresh["progress_media_stamp"] = local_text(profile.progress_media)
    fresh["end_stamp"] = local_text(end)
    for name, at_us in (
        ("start", start),
        ("profile_start", profile_start),
        ("answer", profile.answered),
        ("bridge", profile.bridged),
        ("last_hold", profile.last_hold),
    ):
        fresh[f"{name}_epoch"] = str(at_us // _SECOND)
        fresh[f"{name}_uepoch"] = str(at_us)
    fresh["hold_accum_seconds"] = str(profile.hold_accum // _SECOND)
    fresh["hold_accum_usec"] = str(profile.hold_accum)
    fresh["hold_accum_ms"] = str(profile.hold_accum // 1000)
    for name, at_us in (
        ("resurrect", profile.resurrected),
        ("progress", profile.progress),
        ("progress_media", profile.progress_media),
        ("end", end),
    ):
        fresh[f"{name}_epoch"] = str(at_us // _SECOND)
        fresh[f"{name}_uepoch"] = str(at_us)
    if channel.app_log is not None:
        fresh["last_app"] = channel.app_log[0]
        if channel.app_log[1]:
            fresh["last_arg"] = channel.app_log[1]
    fresh["caller_id"] = _caller_id(profile.caller_id_name, profile.caller_id_number)
    fresh.update(_spans(profile, end))
    channel.set_many({name: value for name, value in fresh.items() if value})


def _caller_id(name: str, number: str) -> str:
    return f'"{name}" <{number}>' if name else number


def _q850(cause: str) -> int:
    """Return the Q.850 number: causes above 127 are FreeSWITCH's own and are reported as 16 (hangup_cause_q850)."""
    known = CAUSES.get(cause)
    if known is None:
        return 31
    return known.number if known.number <= 127 else 16


def _spans(profile: Profile, end: int) -> dict[str, str]:
    start = profile.created
    answered = profile.answered
    bridged = profile.bridged if profile.bridged > start else 0
    spans = (
        ("duration", start, end),
        ("bill", answered, end if answered else 0),
        ("progress", start if profile.progress else 0, profile.progress),
        ("answer", start if answered else 0, answered),
        ("wait", start if bridged else 0, bridged),
        ("progress_media", start if profile.progress_media else 0, profile.progress_media),
        ("flow_bill", start if answered else 0, end if answered else 0),
    )
    found: dict[str, str] = {}
    for unit, divisor in (("", _SECOND), ("m", 1000), ("u", 1)):
        for name, first, last in spans:
            key = f"{unit}duration" if name == "duration" else f"{name}{unit}sec"
            found[key] = str(last // divisor - first // divisor)
    return found


def set_rtp(channel: Channel) -> None:
    """Write the RTP counters of a leg that had media: the true ones, or as if a packet had come every 20 ms."""
    profile = channel.profile
    if profile is None:
        return
    since = profile.progress_media or profile.answered
    if not since:
        return
    packets = max(0, profile.hungup - since) // 20_000
    values = {
        "in_bytes": str(packets * 172),
        "in_packets": str(packets),
        "skipped": "0",
        "out_bytes": str(packets * 172),
        "out_packets": str(packets),
    }
    if channel.leg is not None:
        port = channel.leg.port
        values |= {"in_bytes": str(port.bytes_in), "in_packets": str(port.packets_in)}
        values |= {"out_bytes": str(port.bytes_out), "out_packets": str(port.packets_out)}
    for name, form in _RTP:
        channel.set(name, form.format_map(values))
