"""A Bulletin that runs on this machine: ``irisx fake-provider bulletin``."""

import json
from typing import Any

from irisx_bulletin.channel import STATES, Bulletin, Settings, sign
from irisx_sdk.fake import Answer, Call, Delivery, Fake, FakeMessage, same


class FakeBulletin(Fake):
    channel = Bulletin()

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.token, self.key = self.new_id("token-"), self.new_id("key-")
        self.route("POST", "/posts", self.create)

    @property
    def settings(self) -> Settings:
        return Settings(token=self.token, signing_key=self.key, base_url=self.base)

    async def create(self, call: Call) -> Answer:
        if not same(call.bearer(), self.token):
            return self.deny()
        post = call.json()
        known = [one.id for one in self.sent if one.reference == post["key"]]
        made = FakeMessage(self.new_id("post-"), post["to"], post["text"], reference=post["key"])
        return Answer(201, {"type": "post", "id": known[0] if known else self.took(made).id})

    def signed(self, body: bytes) -> Delivery:
        at = str(int(self.clock()))
        proof = sign(self.key, at, body).decode()
        return Delivery(headers={"bulletin-time": at, "bulletin-signature": proof}, body=body)

    def say(self, sender: str, text: str, **more: Any) -> list[Delivery]:
        return self.event(type="post", id=self.new_id("post-"), person=sender, text=text)

    def receipt(self, sent: FakeMessage, state: str) -> list[Delivery]:
        words = [word for word, ours in STATES.items() if ours == state]
        return self.event(type="state", id=sent.id, state=words[0], key=sent.reference) if words else []

    def event(self, **event: Any) -> list[Delivery]:
        return [self.signed(json.dumps([event | {"at_ms": int(self.clock() * 1000)}]).encode())]
