"""How sending and reading can fail. Which class is raised decides whether the platform tries again."""


class ChannelError(Exception):
    """``code`` is the provider's, for machines; the text is for people and holds no secret and no content."""

    def __init__(self, text: str, *, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class Refused(ChannelError):
    """Certainly not sent, and trying again cannot help: a wrong number, a blocked text.

    ``opted_out``: because the receiver wants nothing from us, which is kept for every later message.
    """

    def __init__(self, text: str, *, code: str = "", opted_out: bool = False) -> None:
        super().__init__(text, code=code)
        self.opted_out = opted_out


class Misconfigured(ChannelError):
    """Certainly not sent, and nothing will be until somebody changes the account: credentials, a sender that is not ours."""


class Throttled(ChannelError):
    """Certainly not sent: too fast. ``retry_after_s`` is the provider's wish, None when it has none."""

    def __init__(self, text: str, *, code: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(text, code=code)
        self.retry_after_s = retry_after_s


class NotSent(ChannelError):
    """Certainly not sent, and another try may work: no connection, a 503 that says so."""


class OutcomeUnknown(ChannelError):
    """It may have been sent: the connection broke after the request left, or the answer made no sense."""


class BadSignature(ChannelError):
    """A webhook that is not from the provider, or too old to be believed. Answered 401, and nothing is stored.

    ``challenge`` (``Basic``) goes into ``WWW-Authenticate``: some providers send a password only when they are asked.
    """

    def __init__(self, text: str, *, code: str = "", challenge: str = "") -> None:
        super().__init__(text, code=code)
        self.challenge = challenge


class Malformed(ChannelError):
    """A webhook that is from the provider, or needs no signature, and cannot be read. Answered 400 and kept for people."""


class NeedsKey(ChannelError):
    """`Channel.parse_webhook` needs a document that the provider publishes (keys, a certificate) to check a signature.

    The platform gets ``url`` (https, no redirects, at most 1 MiB), remembers it for ``keep_s`` seconds and asks again
    with it in `Account.keys`. Check the host before you raise this: the request says where to look.
    """

    def __init__(self, url: str, *, keep_s: float = 86_400) -> None:
        super().__init__("a published key is needed")
        self.url = url
        self.keep_s = keep_s
