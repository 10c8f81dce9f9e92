"""Session descriptions, tags, ports and phrases: the made-up half of a SIP dialogue. Pure."""

import random

_TAG = "0123456789ABCDEFGHJKLMNPQRSTUVXYZabcdefghjkmnprstuvxyz"

_PHRASES = {
    400: "Bad Request", 403: "Forbidden", 404: "Not Found", 408: "Request Timeout", 480: "Temporarily Unavailable",
    484: "Address Incomplete", 486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here",
    500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 600: "Busy Everywhere",
    603: "Decline",
}  # fmt: skip


def reply_phrase(status: int) -> str:
    """Return the words that go with a SIP status."""
    return _PHRASES.get(status, "Refused")


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


def host_port(target: str) -> tuple[str, str, str]:
    """Split ``user@host:port`` (5060 when it names none)."""
    user, _, host = target.partition("@")
    host, _, port = host.partition(":")
    return user, host, port or "5060"


def next_version(sdp: str) -> str:
    """Return an SDP of ours as a re-INVITE offers it: its version goes up by one."""
    lines = sdp.split("\r\n")
    owner = lines[1].split(" ")
    owner[2] = str(int(owner[2]) + 1)
    lines[1] = " ".join(owner)
    return "\r\n".join(lines)
