"""Reports as mail servers write them, and where the tests' webhooks are."""

from irisx_channels.email.mail import Settings

HOOK = "https://hooks.example.test/v1/channels/chn_1/inbound"
NOW_S = 1_700_000_000.0
OURS = "irisx-msg_01jd7v4b2kq8x3m5n7p9r1s2t4@shop.example"
SETTINGS = Settings(
    sender="support@shop.example", reply_to="answers@in.shop.example", unsubscribe_key="a key"
)


def bounce(
    *, action: str = "failed", status: str = "5.1.1", diagnostic: str = "smtp; 550 5.1.1 <kim@customer.example> unknown",
    message_id: str = OURS, returned: str = "message/rfc822",
) -> bytes:  # fmt: skip
    """As in RFC 3464, appendix E."""
    return f"""From: Mail Delivery Subsystem <MAILER-DAEMON@mx.example>\r
To: support@shop.example\r
Subject: Returned mail\r
Message-ID: <dsn1@mx.example>\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r
Auto-Submitted: auto-replied\r
\r
--b\r
\r
Your mail could not be delivered.\r
--b\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mx.example\r
\r
Final-Recipient: rfc822; kim@customer.example\r
Action: {action}\r
Status: {status}\r
Diagnostic-Code: {diagnostic}\r
\r
--b\r
Content-Type: {returned}\r
\r
Message-ID: <{message_id}>\r
From: support@shop.example\r
Subject: Hello\r
\r
Hello Kim\r
--b--\r
""".encode()


def complaint(*, kind: str = "abuse", message_id: str = OURS) -> bytes:
    """As in RFC 5965, appendix B."""
    return f"""From: <feedback@provider.example>\r
To: <abuse@shop.example>\r
Subject: FW: Hello\r
Message-ID: <arf1@provider.example>\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r
\r
--b\r
Content-Type: text/plain; charset="US-ASCII"\r
\r
This is an email abuse report.\r
--b\r
Content-Type: message/feedback-report\r
\r
Feedback-Type: {kind}\r
User-Agent: SomeGenerator/1.0\r
Version: 1\r
\r
--b\r
Content-Type: message/rfc822\r
\r
From: <support@shop.example>\r
Message-ID: <{message_id}>\r
Subject: Hello\r
\r
Hello Kim\r
--b--\r
""".encode()
