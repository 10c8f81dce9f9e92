"""What mod_sofia writes on a channel at each step of a SIP call: variable names and their order as data.

Order and names are those of the captures (1.10.12, PCMU, no authentication); the values are made up by
the simulator for a far end that does not exist.
"""

import random

from freeswitch.simulator.channel import Channel
from freeswitch.simulator.headers import Variable
from freeswitch.simulator.scripts import Caller
from freeswitch.simulator.wire import plain_line

_TAG = "0123456789ABCDEFGHJKLMNPQRSTUVXYZabcdefghjkmnprstuvxyz"

# Everything a freshly arrived INVITE leaves on a channel, in order; None is filled in for each call.
_INBOUND: tuple[tuple[str, str | None], ...] = (
    ("direction", "inbound"),
    ("uuid", None),
    ("call_uuid", None),
    ("session_id", None),
    ("sip_from_user", None),
    ("sip_from_port", None),
    ("sip_from_uri", None),
    ("sip_from_host", None),
    ("video_media_flow", "disabled"),
    ("text_media_flow", "disabled"),
    ("channel_name", None),
    ("sip_call_id", None),
    ("sip_local_network_addr", None),
    ("sip_network_ip", None),
    ("sip_network_port", None),
    ("sip_invite_stamp", None),
    ("sip_received_ip", None),
    ("sip_received_port", None),
    ("sip_via_protocol", "udp"),
    ("sip_from_user_stripped", None),
    ("sip_from_tag", None),
    ("sofia_profile_name", None),
    ("sofia_profile_url", None),
    ("recovery_profile_name", None),
    ("sip_full_via", None),
    ("sip_from_display", None),
    ("sip_full_from", None),
    ("sip_full_to", None),
    ("sip_req_user", None),
    ("sip_req_port", None),
    ("sip_req_uri", None),
    ("sip_req_host", None),
    ("sip_to_user", None),
    ("sip_to_port", None),
    ("sip_to_uri", None),
    ("sip_to_host", None),
    ("sip_contact_user", None),
    ("sip_contact_port", None),
    ("sip_contact_uri", None),
    ("sip_contact_host", None),
    ("sip_subject", None),
    ("sip_via_host", None),
    ("sip_via_port", None),
    ("max_forwards", "70"),
    ("sip_h_X-Carrier-Trace", None),
    ("switch_r_sdp", None),
    ("ep_codec_string", "CORE_PCM_MODULE.PCMU@8000h@20i@64000b"),
    ("rtp_use_codec_string", "PCMU,PCMA"),
    ("remote_video_media_flow", "inactive"),
    ("remote_text_media_flow", "inactive"),
    ("remote_audio_media_flow", "sendrecv"),
    ("audio_media_flow", "sendrecv"),
    ("remote_media_ip", None),
    ("remote_media_port", None),
    ("rtp_audio_recv_pt", "0"),
    ("rtp_use_codec_name", "PCMU"),
    ("rtp_use_codec_rate", "8000"),
    ("rtp_use_codec_ptime", "20"),
    ("rtp_use_codec_channels", "1"),
    ("rtp_last_audio_codec_string", "PCMU@8000h@20i@1c"),
    ("read_codec", "PCMU"),
    ("original_read_codec", "PCMU"),
    ("read_rate", "8000"),
    ("original_read_rate", "8000"),
    ("write_codec", "PCMU"),
    ("write_rate", "8000"),
    ("dtmf_type", "rfc2833"),
    ("endpoint_disposition", "RECEIVED"),
)
_INBOUND_TEMPLATE: dict[str, Variable] = {
    name: (value or "", plain_line(f"variable_{name}", value or "")) for name, value in _INBOUND
}

_MEDIA = (
    ("ep_codec_string", "CORE_PCM_MODULE.PCMU@8000h@20i@64000b"),
    ("rtp_use_codec_string", ""),
    ("remote_video_media_flow", "inactive"),
    ("remote_text_media_flow", "inactive"),
    ("remote_audio_media_flow", "sendrecv"),
    ("rtp_audio_recv_pt", "0"),
    ("rtp_use_codec_name", "PCMU"),
    ("rtp_use_codec_rate", "8000"),
    ("rtp_use_codec_ptime", "20"),
    ("rtp_use_codec_channels", "1"),
    ("rtp_last_audio_codec_string", "PCMU@8000h@20i@1c"),
    ("read_codec", "PCMU"),
    ("original_read_codec", "PCMU"),
    ("read_rate", "8000"),
    ("original_read_rate", "8000"),
    ("write_codec", "PCMU"),
    ("write_rate", "8000"),
    ("dtmf_type", "rfc2833"),
)


def tag(rng: random.Random) -> str:
    """Return a SIP tag as sofia makes them."""
    return "".join(rng.choices(_TAG, k=13))


def local_sdp(rng_port: int, version: int, session: int, comfort_noise: bool = False) -> str:
    """Return our side's SDP; ``version`` grows with every offer."""
    noise = " 13" if comfort_noise else ""
    return (
        f"v=0\r\no=FreeSWITCH {session} {session + version} IN IP4 127.0.0.1\r\ns=FreeSWITCH\r\n"
        f"c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {rng_port} RTP/AVP 0 101{noise}\r\na=rtpmap:0 PCMU/8000\r\n"
        "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
        + ("a=rtpmap:13 CN/8000\r\n" if comfort_noise else "")
        + "a=ptime:20\r\na=sendrecv\r\n"
    )


def remote_sdp(ip: str, port: int) -> str:
    """Return the far end's SDP."""
    return (
        f"v=0\r\no=user1 53655765 2353687637 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
        "a=fmtp:101 0-16\r\n"
    )


def media_port(rng: random.Random) -> int:
    """Return an RTP port of ours (even, as RTP's are)."""
    return 16384 + 2 * rng.randrange(8192)


def arrive(channel: Channel, caller: Caller) -> None:
    """Write what an INVITE from ``caller`` brings."""
    rng, ip, port = channel.switch.rng, caller.ip, caller.port
    local = channel.switch.settings.ipv4
    profile, to, number = caller.profile, caller.destination, caller.number
    sip_port = channel.switch.sip_port(profile)
    url = f"sip:mod_sofia@{local}:{sip_port}"
    from_tag, branch = tag(rng), tag(rng)
    display = f'"{caller.name}" ' if caller.name else ""
    media = 20000 + 2 * rng.randrange(16000)
    called = f"{to}@{local}:{sip_port}"
    dynamic = {
        "uuid": channel.uuid,
        "call_uuid": channel.uuid,
        "session_id": str(channel.session_id),
        "sip_from_user": number,
        "sip_from_port": str(port),
        "sip_from_uri": f"{number}@{ip}:{port}",
        "sip_from_host": ip,
        "channel_name": channel.name,
        "sip_call_id": f"{channel.session_id}-{rng.randrange(1 << 30)}@{ip}",
        "sip_local_network_addr": local,
        "sip_network_ip": ip,
        "sip_network_port": str(port),
        "sip_invite_stamp": str(channel.switch.clock.now_us()),
        "sip_received_ip": ip,
        "sip_received_port": str(port),
        "sip_from_user_stripped": number.removeprefix("+"),
        "sip_from_tag": from_tag,
        "sofia_profile_name": profile,
        "sofia_profile_url": url,
        "recovery_profile_name": profile,
        "sip_full_via": f"SIP/2.0/UDP {ip}:{port};branch=z9hG4bK-{branch}",
        "sip_from_display": caller.name,
        "sip_full_from": f"{display}<sip:{number}@{ip}:{port}>;tag={from_tag}",
        "sip_full_to": f"<sip:{called}>",
        "sip_req_user": to,
        "sip_req_port": str(sip_port),
        "sip_req_uri": called,
        "sip_req_host": local,
        "sip_to_user": to,
        "sip_to_port": str(sip_port),
        "sip_to_uri": called,
        "sip_to_host": local,
        "sip_contact_user": "caller",
        "sip_contact_port": str(port),
        "sip_contact_uri": f"caller@{ip}:{port}",
        "sip_contact_host": ip,
        "sip_subject": caller.subject,
        "sip_via_host": ip,
        "sip_via_port": str(port),
        "sip_h_X-Carrier-Trace": caller.trace,
        "switch_r_sdp": remote_sdp(ip, media),
        "remote_media_ip": ip,
        "remote_media_port": str(media),
    }
    variables = dict(_INBOUND_TEMPLATE)
    for name, value in dynamic.items():
        if value:
            variables[name] = (value, plain_line(f"variable_{name}", value))
        else:
            del variables[name]
    for name, value in caller.headers.items():
        variables[f"sip_h_{name}"] = (value, plain_line(f"variable_sip_h_{name}", value))
    channel.variables = variables
    channel._variables_text = None


def _transport(channel: Channel, remote: tuple[str, str]) -> None:
    rng = channel.switch.rng
    channel.set("local_media_ip", channel.switch.settings.ipv4)
    channel.set("local_media_port", channel.get("local_media_port") or str(media_port(rng)))
    channel.set("advertised_media_ip", channel.switch.settings.ipv4)
    channel.set("rtp_use_timer_name", "soft")
    channel.set("rtp_use_pt", "0")
    channel.set("rtp_use_ssrc", str(rng.randrange(1 << 32)))
    channel.set("rtp_2833_send_payload", "101")
    channel.set("rtp_2833_recv_payload", "101")
    channel.set("remote_media_ip", remote[0])
    channel.set("remote_media_port", remote[1])


def start_media(channel: Channel) -> None:
    """Write what our 200 or 183 with SDP leaves on an inbound leg."""
    remote = (channel.get("remote_media_ip") or "127.0.0.1", channel.get("remote_media_port") or "0")
    port = media_port(channel.switch.rng)
    session = 1_790_000_000 + channel.switch.rng.randrange(9_000_000)
    channel.set("rtp_local_sdp_str", local_sdp(port, 1, session))
    channel.set("local_media_port", str(port))
    _transport(channel, remote)


def reoffer(channel: Channel) -> None:
    """Write the SDP of a re-INVITE of ours (hold, unhold, renegotiation): the version goes up by one."""
    before = channel.get("rtp_local_sdp_str") or local_sdp(media_port(channel.switch.rng), 1, 1_790_000_000)
    lines = before.split("\r\n")
    owner = lines[1].split(" ")
    owner[2] = str(int(owner[2]) + 1)
    lines[1] = " ".join(owner)
    channel.set("rtp_local_sdp_str", "\r\n".join(lines))


def acknowledge(channel: Channel) -> None:
    """Write what the far end's ACK leaves on an inbound leg."""
    if channel.down or (channel.get("sip_to_tag") and channel.get("sip_cseq")):
        return
    rng = channel.switch.rng
    to_tag = channel.get("sip_to_tag") or tag(rng)
    values = {
        "sip_to_tag": to_tag,
        "sip_from_tag": channel.get("sip_from_tag") or "",
        "sip_cseq": "1",
        "sip_call_id": channel.get("sip_call_id") or "",
        "sip_full_via": (channel.get("sip_full_via") or "").rsplit("-", 1)[0] + f"-{tag(rng)}",
        "sip_from_display": channel.get("sip_from_display") or "",
        "sip_full_from": channel.get("sip_full_from") or "",
        "sip_full_to": f"{channel.get('sip_full_to')};tag={to_tag}",
    }
    channel.set_many({name: value for name, value in values.items() if value})


def invite(channel: Channel, *, profile: str, number: str, target: str, variables: dict[str, str]) -> None:
    """Write what our INVITE leaves on an outbound leg; ``variables`` are the dial string's."""
    switch = channel.switch
    rng, local = switch.rng, switch.settings.ipv4
    port = media_port(rng)
    session = 1_790_000_000 + rng.randrange(9_000_000)
    channel.set_many(variables)
    codecs = channel.get("rtp_use_codec_string") or "PCMU,PCMA"
    channel.set("rtp_use_codec_string", codecs)
    channel.set("local_media_ip", local)
    channel.set("local_media_port", str(port))
    channel.set("advertised_media_ip", local)
    channel.set("audio_media_flow", "sendrecv")
    if channel.get("originating_leg_uuid"):
        channel.set("video_media_flow", "inactive")
    channel.set("rtp_local_sdp_str", local_sdp(port, 1, session, comfort_noise=True))
    sip_port = switch.sip_port(profile)
    channel.set("sip_outgoing_contact_uri", f"<sip:mod_sofia@{local}:{sip_port}>")
    channel.set("sip_req_uri", target)
    channel.set("sip_to_host", target.partition("@")[2])
    channel.set("sip_from_host", local)
    channel.set("sofia_profile_name", profile)
    channel.set("recovery_profile_name", profile)
    channel.set("sofia_profile_url", f"sip:mod_sofia@{local}:{sip_port}")


def _host_port(target: str) -> tuple[str, str, str]:
    user, _, host = target.partition("@")
    host, _, port = host.partition(":")
    return user, host, port or "5060"


def ring(channel: Channel, target: str) -> None:
    """Write what a 180 or 183 of the far end leaves on an outbound leg."""
    rng = channel.switch.rng
    user, host, port = _host_port(target)
    local = channel.switch.settings.ipv4
    profile = channel.profile
    name = profile.caller_id_name if profile else ""
    number = (profile.caller_id_number if profile else "") or "0000000000"
    from_tag, to_tag, via = tag(rng), tag(rng), f"SIP/2.0/UDP {local};rport;branch=z9hG4bK{tag(rng)}"
    display = f'"{name}" ' if name else ""
    values = {
        "sip_local_network_addr": local,
        "sip_reply_host": host,
        "sip_reply_port": port,
        "sip_network_ip": host,
        "sip_network_port": port,
        "sip_recover_contact": f"<sip:{host}:{port};transport=UDP>",
        "sip_full_via": via,
        "sip_recover_via": via,
        "sip_from_display": name,
        "sip_full_from": f"{display}<sip:{number}@{local}>;tag={from_tag}",
        "sip_full_to": f"<sip:{target}>;tag={to_tag}",
        "sip_from_user": number,
        "sip_from_uri": f"{number}@{local}",
        "sip_from_host": local,
        "sip_to_user": user,
        "sip_to_port": port,
        "sip_to_uri": f"{user}@{host}:{port}",
        "sip_to_host": host,
        "sip_contact_params": "transport=UDP",
        "sip_contact_user": "nobody",
        "sip_contact_port": port,
        "sip_contact_uri": f"nobody@{host}:{port}",
        "sip_contact_host": host,
        "sip_to_tag": to_tag,
        "sip_from_tag": from_tag,
        "sip_cseq": str(120_000_000 + rng.randrange(9_000_000)),
        "sip_call_id": channel.switch.new_uuid(),
    }
    channel.set_many({key: value for key, value in values.items() if value})


def offered(channel: Channel, target: str) -> int:
    """Write the far end's SDP (183 or 200) on an outbound leg; returns its RTP port."""
    _, host, _ = _host_port(target)
    media = 20000 + 2 * channel.switch.rng.randrange(16000)
    channel.set("switch_r_sdp", remote_sdp(host, media))
    return media


def accept(channel: Channel, target: str, media: int) -> None:
    """Write what agreeing on the far end's SDP leaves on an outbound leg."""
    _, host, _ = _host_port(target)
    codecs = channel.get("rtp_use_codec_string") or "PCMU,PCMA"
    for name, value in _MEDIA:
        channel.set(name, value or codecs)
    _transport(channel, (host, str(media)))


def refused(channel: Channel, status: int, phrase: str, q850: int) -> None:
    """Write what a final refusal of the far end leaves on an outbound leg."""
    if channel.get("sip_call_id") is None:
        channel.set("sip_call_id", channel.switch.new_uuid())
        channel.set("sip_local_network_addr", channel.switch.settings.ipv4)
        channel.set("sip_reply_port", "0")
        channel.set("sip_network_port", "0")
    channel.set("sip_hangup_disposition", "recv_refuse")
    channel.set("sip_invite_failure_status", str(status))
    channel.set("sip_invite_failure_phrase", phrase)
    channel.set("sip_term_status", str(status))
    channel.set("proto_specific_hangup_cause", f"sip:{status}")
    channel.set("sip_term_cause", str(q850))


def said_bye(channel: Channel, q850: int = 16) -> None:
    """Write what the far end's BYE leaves before CHANNEL_HANGUP."""
    channel.set("sip_term_status", "200")
    channel.set("proto_specific_hangup_cause", "sip:200")
    channel.set("sip_term_cause", str(q850))
