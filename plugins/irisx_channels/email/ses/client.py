"""The Amazon SES channel: mail out through boto3 in a worker thread, everything that comes back through Amazon SNS.

boto3 is asked once for each mail (``total_max_attempts=1``): whether to try again is the platform's decision, because a
repetition can be a second mail. It is imported where it works, in a thread: that takes half a second, and every process
that knows the channels would pay it.
"""

from collections.abc import AsyncIterator, Callable
from functools import lru_cache
from typing import Any, ClassVar, TypeVar

import anyio.to_thread
import httpx

from irisx_channels.email import outgoing, overhttp, unsubscribe
from irisx_channels.email.ses import codec
from irisx_sdk import (
    Account,
    Capabilities,
    Channel,
    ChannelError,
    File,
    Misconfigured,
    NotSent,
    Outbound,
    OutcomeUnknown,
    Parsed,
    Refused,
    Request,
    Sent,
    Throttled,
    Tools,
)

T = TypeVar("T")
CONNECT_S = 5.0
READ_S = 30.0
_PIECE = 1 << 18
_THROTTLED = frozenset({"TooManyRequestsException", "ThrottlingException", "Throttling", "LimitExceededException", "SlowDown"})  # fmt: skip
_ACCOUNT = frozenset(
    {
        "MailFromDomainNotVerifiedException", "AccountSuspendedException", "SendingPausedException", "NotFoundException",
        "AccessDenied", "AccessDeniedException", "UnrecognizedClientException", "InvalidClientTokenId",
        "SignatureDoesNotMatch", "InvalidSignatureException", "ExpiredTokenException", "IncompleteSignature",
        "MissingAuthenticationToken", "OptInRequired", "InvalidAccessKeyId",
    }
)  # fmt: skip


class Ses(Channel):
    """Amazon SES."""

    name: ClassVar[str] = "email.ses"
    title: ClassVar[str] = codec.TITLE
    address: ClassVar[Any] = "email"
    Settings: ClassVar[type[codec.Settings]] = codec.Settings
    capabilities: ClassVar[Capabilities] = overhttp.capabilities(codec.MOST_BYTES)

    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        return unsubscribe.asked(account.settings, request) or codec.parse(account, request)

    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        settings: codec.Settings = account.settings
        mail = await outgoing.composed(settings, message, tools, most_bytes=codec.MOST_BYTES)
        await _allowed(settings.base_url, tools)

        def work() -> dict[str, Any]:
            # (writing 25 MB of files takes more than a second: that belongs in the thread, too)
            given = codec.arguments(settings, mail)
            return dict(_client("sesv2", settings, settings.base_url).send_email(**given))

        told = await _asked(work)
        name = told.get("MessageId")
        if not isinstance(name, str) or not name:
            raise OutcomeUnknown("Amazon SES: the answer has no MessageId")
        return Sent((codec.wire_id(settings, name),), "queued")

    async def check(self, account: Account, tools: Tools) -> str:
        settings: codec.Settings = account.settings
        await _allowed(settings.base_url, tools)
        told = await _asked(lambda: dict(_client("sesv2", settings, settings.base_url).get_account()))
        if told.get("SendingEnabled") is False:
            raise Misconfigured("Amazon SES: sending is paused for this account")
        if told.get("ProductionAccessEnabled") is False:
            return "Amazon SES knows this account; it is in the sandbox and sends to verified addresses only"
        return "Amazon SES knows this account"

    def fetch(self, account: Account, file: File, tools: Tools) -> AsyncIterator[bytes]:
        """A file's content; a mail that is kept in S3 is got from there."""
        return _fetched(account.settings, file, tools)


async def _fetched(settings: codec.Settings, file: File, tools: Tools) -> AsyncIterator[bytes]:
    if file.content is not None:
        yield file.content
        return
    if not file.id.startswith(codec.S3):
        raise Refused("this file is nowhere to be got from")
    bucket, _, key = file.id.removeprefix(codec.S3).partition("/")
    await _allowed(settings.s3_url, tools)
    s3 = await _asked(lambda: _client("s3", settings, settings.s3_url))
    body = (await _asked(lambda: dict(s3.get_object(Bucket=bucket, Key=key))))["Body"]
    try:
        while piece := await _asked(lambda: bytes(body.read(_PIECE))):
            yield piece
    finally:
        body.close()


async def _allowed(url: str, tools: Tools) -> None:
    """Amazon's own addresses are; another one only if the platform may connect there."""
    if not url:
        return
    try:
        given = httpx.URL(url)
    except httpx.InvalidURL:
        raise Misconfigured("an address in the account's settings is none") from None
    if given.scheme not in ("http", "https") or not given.host:
        raise Misconfigured("an address in the account's settings must start with https:// or http://")
    await tools.reach(given.host, given.port or (443 if given.scheme == "https" else 80))


async def _asked(work: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(_told, work)


def _told(work: Callable[[], T]) -> T:
    """In a thread: what ``work`` returns, its failures in our words."""
    from botocore import exceptions

    try:
        return work()
    except exceptions.ClientError as refused:
        raise _failure(refused) from None
    except (
        exceptions.EndpointConnectionError,
        exceptions.ConnectTimeoutError,
        exceptions.ProxyConnectionError,
    ):
        raise NotSent("no connection to Amazon SES") from None
    except (exceptions.ParamValidationError, exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.NoRegionError, ValueError):  # fmt: skip
        raise Misconfigured("Amazon SES: the account's settings cannot be used") from None
    except exceptions.BotoCoreError as failed:
        text = f"the connection to Amazon SES failed after the request had left ({type(failed).__name__})"
        raise OutcomeUnknown(text) from None


def _failure(refused: Any) -> ChannelError:
    code = str(refused.response.get("Error", {}).get("Code", ""))[:80]
    status = int(refused.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _THROTTLED:
        return Throttled("Amazon SES: too many mails at once, or the day's quota is used up", code=code)
    if code in _ACCOUNT:
        return Misconfigured("Amazon SES: the account, its keys or its sender is not accepted", code=code)
    if code in ("MessageRejected", "BadRequestException"):
        return Refused("Amazon SES: the mail was refused", code=code)
    return overhttp.failure(codec.TITLE, status, code if not code.isdigit() else "")


@lru_cache(maxsize=64)
def _made(service: str, region: str, key: str, secret: str, url: str) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=40,
        # (an S3 of one's own has no host for each bucket)
        s3={"addressing_style": "path"} if url else None,
    )
    session = boto3.session.Session()
    return session.client(
        service,
        region_name=region,
        endpoint_url=url or None,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=config,
    )


def _client(service: str, settings: codec.Settings, url: str) -> Any:
    """A client: making one reads megabytes of models, so the newest are kept. They may be used by several threads."""
    return _made(service, settings.region, settings.access_key_id, settings.secret_access_key, url)
