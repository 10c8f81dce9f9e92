"""A fake Teams: sign-in, the connector service, published keys, activities with tokens that are signed with them."""

import functools
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from irisx_channels.teams import proof
from irisx_channels.teams.client import Teams
from irisx_channels.teams.codec import READ
from irisx_channels.teams.outgoing import MAX_ACTIVITY
from irisx_channels.teams.settings import ISSUER, TeamsSettings
from irisx_sdk.fake import Answer, Call, Delivery, Fake, FakeMessage, Faults, same

TENANT, APP = "0f0f0f0f-1111-2222-3333-444444444444", "aaaaaaaa-1111-2222-3333-444444444444"
BOT = f"28:{APP}"
KEY = "fake-key-1"
TOKEN_S = 3600
_PICTURE = b"\x89PNG\r\n\x1a\n fake"
Json = dict[str, Any]


@functools.cache
def _key(number: int) -> rsa.RSAPrivateKey:
    """A key for signing, made once a process because it takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class FakeTeams(Fake):
    """One bot in one tenant."""

    channel = Teams()
    life: ClassVar[tuple[str, ...]] = ("sent", "read")
    covers = "token"

    def __init__(
        self,
        *,
        webhook_url: str = "",
        faults: Faults = Faults(),  # noqa: B008 - frozen
        seed: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(webhook_url=webhook_url, faults=faults, seed=seed, clock=clock)
        self.secret = self.new_id("s~")
        self.run = self.new_id(digits=8)
        """Part of where keys are published: a platform keeps documents for a day, and a new process has a new key."""
        self.tokens: set[str] = set()
        """Those that are accepted: empty it to withdraw them."""
        self.outgoing_token = "dGVhbXMgb3V0Z29pbmcgd2ViaG9vayBzaGFyZWQga2V5"  # noqa: S105 - a made-up one
        self.tokens_given = 0
        self.removed: set[str] = set()
        """People who removed the bot: their conversations cannot be written to."""
        self.endorsements = ["msteams"]
        self.changes: list[tuple[str, Json]] = []
        """Edits, deletions and typing."""
        self._number = int(clock() * 1000)  # (no activity of another run has this number)
        self.route("POST", "/{tenant}/oauth2/v2.0/token", self.sign_in)
        self.route("GET", "/v1/.well-known/openidconfiguration", self.metadata, steady=True)
        self.route("GET", "/v1/.well-known/keys", self.published, steady=True)
        self.route("POST", "/v3/conversations", self.open_conversation)
        self.route("POST", "/v3/conversations/{place}/activities", self.post)
        self.route("POST", "/v3/conversations/{place}/activities/{activity}", self.post)
        self.route("PUT", "/v3/conversations/{place}/activities/{activity}", self.change)
        self.route("DELETE", "/v3/conversations/{place}/activities/{activity}", self.change)
        self.route("GET", "/v3/attachments/{name}/views/original", self.picture)
        self.route("GET", "/shared/{name}", self.shared)

    @property
    def settings(self) -> TeamsSettings:
        base = self.base or "http://127.0.0.1:1"
        return TeamsSettings(
            app_id=APP,
            app_secret=self.secret,
            tenant_id=TENANT,
            outgoing_token=self.outgoing_token,
            base_url=base,
            login_url=base,
            metadata_url=f"{base}/v1/.well-known/openidconfiguration?run={self.run}",
        )

    def throttled(self, call: Call) -> Answer:
        return error(429, "ActivityThrottled", headers={"retry-after": "2"})

    def broken(self, call: Call) -> Answer:
        return error(502, "BadGateway")

    # What the platform asks -----------------------------------------------------------------------------------------

    async def sign_in(self, call: Call) -> Answer:
        form = call.form()
        wanted = {"grant_type": "client_credentials", "client_id": APP, "scope": f"{ISSUER}/.default"}
        if call.params["tenant"] != TENANT or any(form.get(name) != value for name, value in wanted.items()):
            return Answer(400, {"error": "invalid_request", "error_description": "AADSTS900023"})
        if not same(form.get("client_secret", ""), self.secret):
            return self.deny({"error": "invalid_client", "error_description": "AADSTS7000215"})
        self.tokens_given += 1
        token = self.new_id("ey")
        self.tokens.add(token)
        return Answer(200, {"token_type": "Bearer", "expires_in": TOKEN_S, "access_token": token})

    async def metadata(self, call: Call) -> Answer:
        return Answer(200, {"issuer": ISSUER, "jwks_uri": f"{self.base}/v1/.well-known/keys?run={self.run}"})

    async def published(self, call: Call) -> Answer:
        return Answer(200, self.keyring())

    def keyring(self) -> Json:
        """The public keys, as Microsoft publishes them."""
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(_key(0).public_key()))
        return {"keys": [public | {"kid": KEY, "use": "sig", "endorsements": self.endorsements}]}

    async def open_conversation(self, call: Call) -> Answer:
        if denied := self._denied(call):
            return denied
        body = call.json()
        if body.get("channelData", {}).get("tenant", {}).get("id") != TENANT:
            return error(400, "BadSyntax")
        return Answer(201, {"id": f"a:{body['members'][0]['id']}", "serviceUrl": self.base})

    async def post(self, call: Call) -> Answer:
        if denied := self._denied(call):
            return denied
        activity, place = call.json(), call.params["place"]
        if len(call.body) > MAX_ACTIVITY + 12_144:
            return error(413, "MessageSizeTooBig")
        if refused := self._refused(place):
            return refused
        if activity.get("type") == "typing":
            self.changes.append(("typing", activity))
            return Answer(202, {})
        if activity.get("type") != "message" or not (activity.get("text") or activity.get("attachments")):
            return error(400, "BadSyntax")
        self._number += 1
        files = [one for one in activity.get("attachments", []) if "contentUrl" in one]
        cards = [
            one["content"]["body"][0]["text"] for one in activity.get("attachments", []) if "content" in one
        ]
        made = FakeMessage(
            f"{place.partition(';messageid=')[0]}|{self._number}", place.removeprefix("a:"),
            activity.get("text", "") or " ".join(cards), tuple(one.get("name", "") for one in files),
            raw={"path": call.path} | activity, at=self.clock(), sender=BOT,
        )  # fmt: skip
        self.took(made)
        return Answer(201, {"id": str(self._number)})

    async def change(self, call: Call) -> Answer:
        if denied := self._denied(call):
            return denied
        name = f"{call.params['place'].partition(';messageid=')[0]}|{call.params['activity']}"
        if name not in {one.id for one in self.sent}:
            return error(404, "ActivityNotFoundInConversation")
        self.changes.append((call.method, call.json() if call.body else {}))
        return Answer(200, {"id": call.params["activity"]})

    async def picture(self, call: Call) -> Answer:
        return self._denied(call) or Answer(200, _PICTURE, {"content-type": "image/png"})

    async def shared(self, call: Call) -> Answer:
        return Answer(200, b"%PDF fake") if call.query.get("sig") else Answer(403, b"")

    def _denied(self, call: Call) -> Answer | None:
        if call.bearer() in self.tokens:
            return None
        return self.deny(
            {"error": {"code": "AuthorizationError", "message": "Authorization has been denied."}}
        )

    def _refused(self, place: str) -> Answer | None:
        if place.removeprefix("a:") in self.removed:
            return error(403, "MessageWritesBlocked")
        return error(404, "ConversationNotFound") if place.startswith("gone") else None

    # What the platform is told --------------------------------------------------------------------------------------

    def say(
        self, sender: str, text: str, *, place: str = "", media: int = 0, shared: int = 0, **more: Any
    ) -> list[Delivery]:
        """``place`` is the conversation (a thread of a channel), otherwise the chat with ``sender``.

        ``media`` brings a picture, ``shared`` a file; ``more`` are further fields of the activity.
        """
        files: list[Json] = []
        if media:
            files.append(
                {"contentType": "image/png", "contentUrl": f"{self.base}/v3/attachments/p1/views/original"}
            )
        if shared:
            info = {"downloadUrl": f"{self.base}/shared/plan?sig=1", "uniqueId": "U1", "fileType": "pdf"}
            kind = "application/vnd.microsoft.teams.file.download.info"
            files.append({"contentType": kind, "content": info, "name": "plan.pdf"})
        fields: Json = {"text": text, "textFormat": "plain"} | ({"attachments": files} if files else {})
        return [self.activity("message", sender, place, **(fields | more))]

    def activity(self, kind: str, sender: str, place: str = "", **more: Any) -> Delivery:
        """Any activity, with a token that fits it."""
        self._number += 1
        personal = {"id": f"a:{sender}", "conversationType": "personal", "tenantId": TENANT}
        group = {"id": place, "conversationType": "channel", "isGroup": True, "tenantId": TENANT}
        made = {
            "type": kind, "id": str(self._number), "channelId": "msteams", "serviceUrl": f"{self.base}/",
            "timestamp": datetime.fromtimestamp(self.clock(), UTC).isoformat().replace("+00:00", "Z"),
            "from": {"id": sender, "name": "Kim", "aadObjectId": f"0000-{sender}"},
            "recipient": {"id": BOT, "name": "Fake"}, "conversation": group if place else personal,
            "channelData": {"tenant": {"id": TENANT}}, "locale": "en-US",
        }  # fmt: skip
        return self.signed(json.dumps(made | more).encode())

    def receipt(self, sent: FakeMessage, state: str) -> list[Delivery]:
        if state != "read":
            return []
        place, _, activity = sent.id.rpartition("|")
        chat = {"id": place, "conversationType": "personal", "tenantId": TENANT}
        last = {"lastReadMessageId": activity}
        return [self.activity("event", sent.to, name=READ, value=last, conversation=chat)]

    def signed(self, body: bytes) -> Delivery:
        return Delivery(
            "POST", "", {"Content-Type": "application/json", "Authorization": self.bearer()}, body
        )

    def bearer(self, key: int = 0, kid: str = KEY, **claims: Any) -> str:
        """The ``Authorization`` of a request from Teams; ``claims`` replace what it says, None leaves one out."""
        now = int(self.clock())
        said: Mapping[str, Any] = {
            "iss": ISSUER, "aud": APP, "nbf": now - 60, "exp": now + TOKEN_S, "serviceurl": f"{self.base}/",
        } | claims  # fmt: skip
        told = {name: value for name, value in said.items() if value is not None}
        return "Bearer " + jwt.encode(told, _key(key), algorithm="RS256", headers={"kid": kid})

    def outgoing(self, body: bytes) -> Delivery:
        """What an outgoing webhook of a team posts."""
        return Delivery(
            "POST", "", {"Authorization": proof.outgoing_signature(self.outgoing_token, body)}, body
        )


def error(status: int, code: str, *, headers: Mapping[str, str] | None = None) -> Answer:
    """A refusal as the service writes it."""
    return Answer(status, {"error": {"code": code, "message": code}}, headers or {})
