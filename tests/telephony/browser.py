"""What a browser offers, without a browser."""


def offer(version: int = 1) -> str:
    """What a browser offers, but for its sound: nobody is there, and no order looks into it."""
    return "\r\n".join(
        (
            "v=0",
            f"o=- 1 {version} IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            "m=audio 9 UDP/TLS/RTP/SAVPF 111 0",
            "c=IN IP4 127.0.0.1",
            "a=candidate:1 1 udp 2122194687 127.0.0.1 9 typ host generation 0",
            "a=ice-ufrag:rHUf",
            "a=ice-pwd:csB/a+6WEjCQAfGAE2DpdgpS",
            "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
            "a=setup:actpass",
            "a=mid:0",
            "a=sendrecv",
            "a=rtcp-mux",
            "a=rtpmap:111 opus/48000/2",
            "a=rtpmap:0 PCMU/8000",
            "",
        )
    )
