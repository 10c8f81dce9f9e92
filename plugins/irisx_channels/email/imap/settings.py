"""What the account of a mailbox is told."""

from typing import Annotated, Literal

import msgspec

from irisx_channels.email.smtp import session
from irisx_sdk import secret


class Settings(session.SubmissionSettings, frozen=True, kw_only=True):
    """A mailbox to read, and the server that takes the answers."""

    imap_host: Annotated[str, msgspec.Meta(description="The server's name: imap.example.org")]
    imap_port: Annotated[int, msgspec.Meta(description="993 for TLS, 143 for STARTTLS", ge=1, le=65_535)] = (
        993
    )
    imap_tls: Annotated[
        Literal["tls", "starttls", "none"],
        msgspec.Meta(
            description="starttls is required, never hoped for; none is for a server on this machine"
        ),
    ] = "tls"
    imap_user: Annotated[str, msgspec.Meta(description="Mostly the address")]
    imap_password: Annotated[str, secret("The mailbox's password, or one made for this program")] = ""
    imap_oauth_token: Annotated[str, secret("An OAuth 2 access token in place of a password (XOAUTH2)")] = ""
    mailbox: Annotated[str, msgspec.Meta(description="The mailbox that is read")] = "INBOX"
    mark_read: Annotated[bool, msgspec.Meta(description="Mark mails as read that IRISX has stored")] = True
