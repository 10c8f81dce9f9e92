"""Files: uploaded and sent, fetched and shown, and never more dangerous here than they were where they came from."""

import asyncio
import hashlib
import os
import resource
import time
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from core.attachments import Filing, Links
from core.clock import now_us
from core.config import AttachmentLimits
from core.ids import new_id
from core.storage.blobs import open_blobs
from core.storage.inbound import Arrival, write_inbound
from irisx_sdk import Address, File, Inbound, Media, Text
from irisx_sdk.fake import Fake
from irisx_sdk.loading import fake_of, installed
from irisx_sdk.testing import running
from tests.api.conftest import Connect
from tests.api.harness import SECRET, Api
from tests.api.test_channels import connected, tenant_of

pytestmark = pytest.mark.asyncio_loop

CHANNELS = installed().channels
PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de") + b"\0" * 32
ANN = "+4930123"


async def upload(
    api: Api, key: str, content: bytes, media_type: str = "image/png", name: str = "a.png"
) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": media_type}
    return await api.http.post("/v1/attachments", params={"name": name}, content=content, headers=headers)


async def talk(api: Api, key: str, fake: Fake) -> str:
    """Somebody wrote; where to answer."""
    await connected(api, key, fake.channel, fake)
    await asyncio.to_thread(fake.do, fake.write, fake.someone(), "hello")
    (one,) = (await api.ask("GET", "/v1/conversations", key)).json()["data"]
    return f"/v1/conversations/{one['id']}/messages"


async def say(api: Api, key: str, path: str, **said: Any) -> httpx.Response:
    return await api.ask("POST", path, key, {"text": "", **said}, {"Idempotency-Key": new_id("idk")})


async def test_a_file_is_uploaded_described_and_handed_out(connect: Connect) -> None:
    async with connect() as api:
        _, key = await tenant_of(api)
        made = await upload(api, key, PNG, name="Bild ü\r\n\u202egnp.png")
        assert made.status_code == 201, made.text
        about = made.json()
        assert (about["state"], about["media_type"], about["size"]) == ("ready", "image/png", len(PNG))
        assert about["sha256"] == hashlib.sha256(PNG).hexdigest() and about["download_only"] is False
        path = made.headers["location"]
        assert (await api.ask("GET", path, key)).json() == about
        content = await api.ask("GET", f"{path}/content", key)
        assert content.content == PNG and content.headers["content-type"] == "image/png"
        assert content.headers["content-disposition"].startswith("inline;")
        assert content.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in content.headers["content-security-policy"]
        _, stranger = await tenant_of(api)
        for address in (path, f"{path}/content"):
            assert (await api.ask("GET", address, stranger)).status_code == 404


@pytest.mark.parametrize(
    ("content", "declared", "name", "reason"),
    [
        (b"<html><script>alert(1)</script>", "image/png", "a.png", "active_content"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='x'/>", "image/svg+xml", "a.svg", "active_content"),
        (b"MZ\x90\0" + b"\0" * 100, "application/pdf", "bill.pdf", "executable"),
        (b"harmless", "text/plain", "bill.pdf.exe", "executable"),
        (b"no picture at all", "image/jpeg", "a.jpg", "type_mismatch"),
    ],
)
async def test_what_can_act_or_lies_is_handed_out_to_be_saved_only(
    connect: Connect, content: bytes, declared: str, name: str, reason: str
) -> None:
    async with connect() as api:
        _, key = await tenant_of(api)
        about = (await upload(api, key, content, declared, name)).json()
        assert (about["state"], about["reason"], about["download_only"]) == ("ready", reason, True)
        handed = await api.ask("GET", f"/v1/attachments/{about['id']}/content", key)
        assert handed.content == content
        assert handed.headers["content-type"] == "application/octet-stream"
        assert handed.headers["content-disposition"].startswith("attachment;")


async def test_a_file_without_end_is_cut_off_and_leaves_nothing(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect() as api:
        _, key = await tenant_of(api)
        limits = AttachmentLimits(file_bytes=1000)
        blobs = open_blobs(api.services.settings)
        before = len(list(blobs.list("attachments/")))
        settings = api.services.settings
        monkeypatch.setattr(api.services, "settings", _with(settings, attachments=limits))
        for content in (b"x" * 1001, _endless()):
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "text/plain"}
            answer = await api.http.post("/v1/attachments", content=content, headers=headers)
            assert answer.status_code == 413 and answer.json()["code"] == "attachment_too_large"
        assert (await upload(api, key, b"")).json()["code"] == "empty_attachment"
        assert len(list(blobs.list("attachments/"))) <= before + 1


def _with(settings: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(settings, **changes)


async def _endless() -> Any:
    for _ in range(40):
        yield b"x" * 100


async def test_a_message_takes_files_once_and_only_what_its_channel_can_send(connect: Connect) -> None:
    async with connect() as api:
        _, key = await tenant_of(api)
        with running(fake_of(CHANNELS["telegram"])()) as fake:
            path = await talk(api, key, fake)
            first, second = [(await upload(api, key, PNG)).json()["id"] for _ in range(2)]
            assert (await say(api, key, path)).status_code == 400
            unknown = await say(api, key, path, text="see", attachments=["att_none"])
            assert unknown.status_code == 404 and unknown.json()["code"] == "no_such_attachment"
            twice = await say(api, key, path, attachments=[first, first])
            assert twice.status_code == 400
            note = await say(api, key, path, text="n", note=True, attachments=[first])
            assert note.status_code == 400
            sent = await say(api, key, path, text="see", attachments=[second, first])
            assert sent.status_code == 202, sent.text
            assert [one["id"] for one in sent.json()["files"]] == [second, first]
            again = await say(api, key, path, text="see", attachments=[first])
            assert again.status_code == 409 and again.json()["code"] == "attachment_used"
            (listed, *_) = (await api.ask("GET", path, key)).json()["data"]
            assert [one["state"] for one in listed["files"]] == ["ready", "ready"]


async def test_a_channel_without_files_says_so(connect: Connect) -> None:
    async with connect() as api:
        _, key = await tenant_of(api)
        channel = next(
            one for one in CHANNELS.values()
            if one.capabilities.webhook and not one.capabilities.max_files and "media" not in one.capabilities.sends
        )  # fmt: skip
        with running(fake_of(channel)()) as fake:
            path = await talk(api, key, fake)
            one = (await upload(api, key, PNG)).json()["id"]
            refused = await say(api, key, path, attachments=[one])
            assert refused.json()["code"] == "no_files_here"


async def test_a_signed_address_works_without_a_session_for_a_while(connect: Connect) -> None:
    async with connect() as api:
        _, key = await tenant_of(api)
        about = (await upload(api, key, PNG)).json()
        links = Links(SECRET, api.url)
        address = links.address(about["id"], now_us=now_us())
        parts = urlsplit(address)
        good = f"{parts.path}?{parts.query}"
        got = await api.http.get(good)
        assert got.status_code == 200 and got.content == PNG
        other = (await upload(api, key, PNG)).json()["id"]
        old = urlsplit(links.address(about["id"], now_us=now_us() - 10**12))
        for bad in (
            good[:-1] + ("0" if good[-1] != "0" else "1"),
            good.replace(about["id"], other),
            f"{old.path}?{old.query}",
        ):
            answer = await api.http.get(bad)
            assert answer.status_code == 403 and answer.json()["code"] == "link_expired"
        assert Links(SECRET, "").address(about["id"], now_us=now_us()) == ""


async def test_what_came_along_is_there_at_once_and_limits_are_said(connect: Connect) -> None:
    async with connect() as api:
        tenant, key = await tenant_of(api)
        limits = AttachmentLimits(file_bytes=1000, message_bytes=1500, files=4)
        filing = Filing(open_blobs(api.services.settings), SECRET, limits)
        files = (
            File("a.png", "image/png", content=PNG),
            File("big.bin", content=b"x" * 1001),
            File("later.bin", size=10, url="https://provider.example/secret-token"),
            File("odd.bin"),
            File("fifth.bin", content=b"x"),
        )
        said = Inbound("m1", Address("email", "a@example.org"), Text("see"), files=files)
        arrival = Arrival("chn_1", said, now_us())
        for _ in range(2):
            rows = tuple(filing.file(tenant, arrival))
            (stored,) = await write_inbound(api.database, tenant, [_with(arrival, files=rows)])
        message = (await api.ask("GET", f"/v1/messages/{stored.message_id}", key)).json()
        shown = [(one["name"], one["state"], one["reason"]) for one in message["files"]]
        assert shown == [
            ("a.png", "ready", ""),
            ("big.bin", "refused", "too_large"),
            ("later.bin", "pending", ""),
            ("odd.bin", "refused", "not_given"),
            ("fifth.bin", "refused", "too_many"),
        ]
        got = await api.ask("GET", f"/v1/attachments/{message['files'][0]['id']}/content", key)
        assert got.content == PNG
        waits = await api.ask("GET", f"/v1/attachments/{message['files'][2]['id']}/content", key)
        assert waits.status_code == 409 and waits.json()["code"] == "attachment_not_ready"
        async with api.database.reader(tenant) as connection:
            sealed = await connection.fetchval("select source from attachments where state = 'pending'")
        assert b"secret-token" not in sealed


async def test_the_file_of_a_picture_is_its_messages_file(connect: Connect) -> None:
    async with connect() as api:
        tenant, key = await tenant_of(api)
        filing = Filing(open_blobs(api.services.settings), SECRET, AttachmentLimits())
        said = Inbound("m1", Address("phone", ANN), Media(File("a.png", "image/png", content=PNG), "image"))
        arrival = Arrival("chn_1", said, now_us())
        (stored,) = await write_inbound(
            api.database, tenant, [_with(arrival, files=tuple(filing.file(tenant, arrival)))]
        )
        message = (await api.ask("GET", f"/v1/messages/{stored.message_id}", key)).json()
        assert [one["media_type"] for one in message["files"]] == ["image/png"]
        assert "content" not in message["content"]["file"]


async def test_a_mail_of_25_mb_with_200_files_is_one_message_and_memory_stays_bounded(
    connect: Connect, capsys: pytest.CaptureFixture[str]
) -> None:
    mail = EmailMessage()
    for name, value in (("From", "ann@example.org"), ("To", "desk@example.org"), ("Subject", "files"),
                        ("Message-ID", "<big@example.org>")):  # fmt: skip
        mail[name] = value
    mail.set_content("see the files")
    one = os.urandom(25 * 1024 * 1024 * 3 // 4 // 200)
    for number in range(200):
        mail.add_attachment(one, maintype="application", subtype="zip", filename=f"part{number}.zip")
    written = mail.as_bytes()
    channel = CHANNELS["email.sparkpost"]
    async with connect() as api:
        _, key = await tenant_of(api)
        fake = fake_of(channel)()
        await connected(api, key, channel, fake)
        (delivery,) = fake.forward(written, "ann@example.org", "desk@example.org")  # type: ignore[attr-defined]
        del mail
        before_kb, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
        headers = {**delivery.headers, "Content-Length": str(len(delivery.body))}
        async with httpx.AsyncClient(timeout=60) as provider:
            answer = await provider.post(fake.webhook_url, content=delivery.body, headers=headers)
            assert answer.status_code == 200, answer.text
        took_s = time.monotonic() - began
        grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) // 1024
        with capsys.disabled():
            print(f" [{len(written) >> 20} MB, 200 files: {took_s:.1f} s, {grown_mb} MB more]", end="")
        (conversation,) = (await api.ask("GET", "/v1/conversations", key)).json()["data"]
        assert conversation["messages"] == 1
        path = f"/v1/conversations/{conversation['id']}/messages"
        (message,) = (await api.ask("GET", path, key)).json()["data"]
        assert len(message["files"]) == 200
        assert {(file["state"], file["size"]) for file in message["files"]} == {("ready", len(one))}
        assert grown_mb < 400 and took_s < 40
