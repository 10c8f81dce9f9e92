"""A fake Amazon SES with the SNS behind it: one region, requests whose signatures are checked, messages that are signed."""

import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, ClassVar

import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from irisx_channels.email import fakes, mime, threading
from irisx_channels.email.ses import codec, sns
from irisx_channels.email.ses.client import Ses
from irisx_sdk.fake import Answer, Call, Delivery, Fake, FakeMessage, Faults, same

REGION = "eu-west-1"
TOPIC = f"arn:aws:sns:{REGION}:000000000000:ses-events"
_EVENTS = {"sent": "Send", "delivered": "Delivery", "undelivered": "Bounce", "failed": "Reject"}
_PEM = "/SimpleNotificationService-0000000000000000.pem"


@cache
def signer() -> tuple[rsa.RSAPrivateKey, bytes]:
    """A key and its certificate; one pair for all fakes of a process, because making it takes a while."""
    key = rsa.generate_private_key(65_537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    made = x509.CertificateBuilder(
        name, name, key.public_key(), 1, datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    ).sign(key, SHA256())
    return key, made.public_bytes(Encoding.PEM)


class FakeSes(Fake):
    """One region of one AWS account."""

    channel = Ses()
    life: ClassVar[tuple[str, ...]] = ("sent", "delivered")

    def __init__(
        self,
        *,
        webhook_url: str = "",
        faults: Faults = Faults(),  # noqa: B008 - frozen
        seed: int = 0,
        clock: Callable[[], float] = time.time,
        version: str = "1",
    ) -> None:
        super().__init__(webhook_url=webhook_url, faults=faults, seed=seed, clock=clock)
        self.version = version
        """Of SNS's signatures: 1 (SHA-1) or 2 (SHA-256)."""
        self.access_key = f"AKIA{self.new_id(digits=16).upper()}"
        self.secret_key = self.new_id(digits=40)
        self.confirmed = 0
        """Subscriptions that were confirmed."""
        self.buckets: dict[str, bytes] = {}
        """What is kept in S3, by ``bucket/key``."""
        self.route("POST", "/v2/email/outbound-emails", self.create)
        self.route("GET", "/v2/email/account", self.account)
        self.route("GET", _PEM, self.certificate, steady=True)
        self.route("GET", "/", self.confirm)
        self.route("GET", "/s3/{bucket}/{key:path}", self.kept)

    @property
    def sns_base(self) -> str:
        return self.base or f"https://sns.{REGION}.amazonaws.com"

    @property
    def settings(self) -> codec.Settings:
        base = self.base or "http://127.0.0.1:1"
        return codec.Settings(
            **fakes.ADDRESSES,
            region=REGION,
            access_key_id=self.access_key,
            secret_access_key=self.secret_key,
            topics=(TOPIC,),
            configuration_set="irisx",
            base_url=base,
            sns_url=self.base,
            s3_url=f"{base}/s3",
        )

    def throttled(self, call: Call) -> Answer:
        return _error(429, "TooManyRequestsException", "Too many requests")

    def broken(self, call: Call) -> Answer:
        return _error(503, "ServiceUnavailable", "Service unavailable")

    async def create(self, call: Call) -> Answer:
        if denied := self._denied(call, "ses"):
            return denied
        given = call.json()
        to = given["Destination"]["ToAddresses"]
        raw = base64.b64decode(given["Content"]["Raw"]["Data"], validate=True)
        if not to or given["FromEmailAddress"].count("@") != 1:
            return _error(400, "BadRequestException", "Missing final '@domain'")
        name = f"0102{self.new_id(digits=12)}-{self.new_id(digits=8)}-000000"
        tags = {one["Name"]: [one["Value"]] for one in given.get("EmailTags", [])}
        message = fakes.taken(self, name, raw, to[0])
        self.took(
            msgspec.structs.replace(
                message,
                raw={"mail": message.raw, "tags": tags},
                reference=threading.reference(tags.get(codec.REFERENCE, [""])[0]),
            )
        )
        return Answer(200, {"MessageId": name})

    async def account(self, call: Call) -> Answer:
        return self._denied(call, "ses") or Answer(
            200, {"SendingEnabled": True, "ProductionAccessEnabled": True}
        )

    async def certificate(self, call: Call) -> Answer:
        return Answer(200, signer()[1], {"content-type": "binary/octet-stream"})

    async def confirm(self, call: Call) -> Answer:
        self.confirmed += call.query.get("Action") == "ConfirmSubscription"
        return Answer(200, "<ConfirmSubscriptionResponse/>", {"content-type": "text/xml"})

    async def kept(self, call: Call) -> Answer:
        found = self.buckets.get(f"{call.params['bucket']}/{call.params['key']}")
        if found is None:
            return Answer(404, "<Error><Code>NoSuchKey</Code></Error>", {"content-type": "application/xml"})
        return self._denied(call, "s3") or Answer(200, found)

    def _denied(self, call: Call, service: str) -> Answer | None:
        """None for a right signature of version 4."""
        kind, _, rest = call.headers.get("authorization", "").partition(" ")
        said = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
        names = said.get("SignedHeaders", "").split(";")
        headers = {name: call.headers.get(name, "") for name in names}
        request = AWSRequest(call.method, call.url, headers, call.body)
        request.context["timestamp"] = call.headers.get("x-amz-date", "")
        if service == "s3":
            request.context["payload_signing_enabled"] = True
        auth = SigV4Auth(Credentials(self.access_key, self.secret_key), service, REGION)
        expected = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        right = said.get("Credential", "").startswith(f"{self.access_key}/") and same(
            said.get("Signature", ""), expected
        )
        if kind == "AWS4-HMAC-SHA256" and right:
            return None
        self.unauthorized += 1
        return _error(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")

    def headers_of(self, sent: FakeMessage) -> dict[str, str]:
        """The headers that a mail goes out with, names in lower case."""
        return {name.lower(): str(value) for name, value in sent.raw["mail"].items()}

    def say(self, sender: str, text: str, **more: Any) -> list[Delivery]:
        """``more`` as in `fakes.written`."""
        return self.forward(fakes.written(self, sender, text, **more), sender, more.get("to", fakes.REPLY_TO))

    def forward(self, written: bytes, sender: str, recipient: str, *, virus: str = "PASS") -> list[Delivery]:
        """Any mail that came in: its receipt rule hands it to SNS."""
        told = {
            "notificationType": "Received",
            "mail": {"messageId": self.new_id(digits=40), "source": sender, "destination": [recipient]},
            "receipt": {
                "recipients": [recipient], "spamVerdict": {"status": "PASS"}, "virusVerdict": {"status": virus},
                "action": {"type": "SNS", "topicArn": TOPIC, "encoding": "BASE64"},
            },
            "content": base64.b64encode(written).decode(),
        }  # fmt: skip
        return [self.notice(told)]

    def in_s3(self, written: bytes, sender: str, recipient: str) -> Delivery:
        """A mail that its receipt rule keeps in S3, because it is large."""
        key = self.new_id(digits=40)
        self.buckets[f"mails/{key}"] = written
        headers = [{"name": name, "value": value} for name, value in mime.read(written).headers]
        mail = {"messageId": key, "source": sender, "destination": [recipient], "headers": headers}
        action = {"type": "S3", "bucketName": "mails", "objectKey": key}
        return self.notice(
            {
                "notificationType": "Received",
                "mail": mail,
                "receipt": {"recipients": [recipient], "action": action},
            }
        )

    def receipt(self, sent: FakeMessage, state: str) -> list[Delivery]:
        if state not in _EVENTS:
            return []
        at = self._now()
        known = sent.id in {one.id for one in self.sent}
        tags = (sent.raw or {}).get("tags", {}) if known else {}
        mail = {
            "timestamp": at,
            "messageId": sent.id,
            "source": sent.sender,
            "destination": [sent.to],
            "tags": tags,
        }
        told: dict[str, Any] = {"eventType": _EVENTS[state], "mail": mail}
        if state == "delivered":
            told["delivery"] = {"timestamp": at, "recipients": [sent.to], "smtpResponse": "250 2.0.0 OK"}
        if state == "undelivered":
            person = {
                "emailAddress": sent.to,
                "action": "failed",
                "status": "5.1.1",
                "diagnosticCode": "smtp; 550 5.1.1 no",
            }
            told["bounce"] = {
                "bounceType": "Permanent",
                "bounceSubType": "General",
                "bouncedRecipients": [person],
                "timestamp": at,
            }
        if state == "failed":
            told["reject"] = {"reason": "Bad content"}
        return [self.notice(told)]

    def notice(self, told: dict[str, Any], *, subject: str = "") -> Delivery:
        """A notification as SNS signs it."""
        more = {"Subject": subject} if subject else {}
        return self.envelope("Notification", {"Message": msgspec.json.encode(told).decode(), **more})

    def subscription(self) -> Delivery:
        """A topic asks whether we want it."""
        url = f"{self.sns_base}/?Action=ConfirmSubscription&Token=tok123"
        self.keys[url] = b"<ConfirmSubscriptionResponse/>"
        return self.envelope(
            "SubscriptionConfirmation", {"Message": "confirm", "Token": "tok123", "SubscribeURL": url}
        )

    def signed(self, body: bytes) -> Delivery:
        return self.envelope("Notification", {"Message": body.decode(errors="replace")})

    def envelope(self, kind: str, more: dict[str, str], **changes: str) -> Delivery:
        """Any message of SNS, signed; ``changes`` are made before the signature."""
        url = f"{self.sns_base}{_PEM}"
        key, pem = signer()
        self.keys[url] = pem
        said = {
            "Type": kind, "MessageId": self.new_id(digits=32), "TopicArn": TOPIC, "Timestamp": self._now(),
            "SignatureVersion": self.version, "SigningCertURL": url, **more, **changes,
        }  # fmt: skip
        algorithm = SHA256() if self.version == "2" else SHA1()  # noqa: S303 - as SNS does
        said["Signature"] = base64.b64encode(key.sign(sns.canonical(said), PKCS1v15(), algorithm)).decode()
        headers = {
            "Content-Type": "text/plain; charset=UTF-8",
            "x-amz-sns-message-type": kind,
            "x-amz-sns-topic-arn": TOPIC,
        }
        return Delivery("POST", "", headers, msgspec.json.encode(said))

    def _now(self) -> str:
        return (
            datetime.fromtimestamp(self.clock(), UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )


def _error(status: int, code: str, text: str) -> Answer:
    return Answer(status, {"message": text, "__type": code}, {"x-amzn-errortype": code})
