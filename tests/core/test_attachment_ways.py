"""A picture comes from a provider and goes back to one, byte for byte; and a channel that blocks its host is left alone."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from core.clock import now_us
from core.config import Settings
from core.ids import new_id
from core.storage import pauses
from core.storage.channels import create_channel
from core.storage.database import Database
from core.watchdog import EXIT_STATUS
from irisx_sdk.fake import Fake
from irisx_sdk.loading import fake_of
from irisx_sdk.testing import running
from tests.api.harness import SECRET
from tests.core.test_channel_host import CHANNELS, ROOT, Desk, desk, hosting, settings_of, until

pytestmark = pytest.mark.asyncio_loop


def host_of(ours: Desk, database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """A host's settings, with the API's object store."""
    settings = settings_of(database_url, redis_url, tmp_path)
    return msgspec.structs.replace(settings, blobs_dir=ours.api.services.settings.blobs_folder())


async def test_a_picture_comes_in_is_fetched_and_goes_out_again(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with desk(database_url, redis_url) as ours:
        with running(fake_of(CHANNELS["telegram"])()) as fake:
            await ours.connect(fake)
            with hosting(host_of(ours, database_url, redis_url, tmp_path)):
                await asyncio.to_thread(fake.do, _send_picture, fake)
                (conversation,) = await until(ours.conversations, "a conversation")
                path = f"/conversations/{conversation['id']}/messages"

                async def fetched() -> bool:
                    (message,) = (await ours.ask("GET", path))["data"]
                    return bool([file for file in message["files"] if file["state"] == "ready"])

                await until(fetched, "the picture is fetched")
                (message,) = (await ours.ask("GET", path))["data"]
                address = f"/v1/attachments/{message['files'][0]['id']}/content"
                content = (await ours.api.ask("GET", address, ours.key)).content
                assert content in fake.files.values()  # type: ignore[attr-defined]
                headers = {"Authorization": f"Bearer {ours.key}", "Content-Type": "image/png"}
                made = await ours.api.http.post(
                    "/v1/attachments?name=a.png", content=content, headers=headers
                )
                body = {"text": "here it is again", "attachments": [made.json()["id"]]}
                answer = await ours.ask("POST", path, body)
                await ours.becomes(answer["id"], "sent")
            (sent,) = fake.sent
            assert [fake.files[one] for one in sent.media] == [content]  # type: ignore[attr-defined]


async def _send_picture(fake: Fake) -> None:
    await fake.deliver(fake.say("1001", "look", media=1))


async def test_a_channel_that_blocks_its_host_is_set_aside_and_the_next_host_serves_the_others(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = settings_of(database_url, redis_url, tmp_path)
    async with await Database.open(database_url) as db:
        tenant = new_id("tnt")
        made = [
            await create_channel(
                db, tenant, secret=SECRET, type="stone", name=mood, settings={"mood": mood}, hidden=()
            )
            for mood in ("blocks", "waits")
        ]
        host = [sys.executable, "-m", "tests.core.blocked_host"]
        env = {**os.environ, **settings.environment()}
        ended = await asyncio.to_thread(
            subprocess.run, host, env=env, cwd=ROOT, capture_output=True, text=True, timeout=40, check=False
        )
        assert ended.returncode == EXIT_STATUS
        assert made[0].id in ended.stderr + ended.stdout and made[1].id not in _blame(
            ended.stderr + ended.stdout
        )
        assert await pauses.paused(db, now_us=now_us()) == {made[0].id}
        again = await asyncio.to_thread(
            subprocess.run,
            [*host, "3"],
            env=env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
        assert again.returncode == 0, again.stderr[-2000:]


def _blame(log: str) -> str:
    return "\n".join(line for line in log.splitlines() if "blocks its host" in line)


async def test_pauses_grow_while_it_goes_on_and_begin_anew_when_it_behaved(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        now, account = now_us(), new_id("chn")
        lengths = []
        for _ in range(8):
            until_us = await pauses.pause(db, "tnt_1", account, "blocked_its_host", now_us=now)
            lengths.append((until_us - now) // 1_000_000)
            now = until_us + 1
        assert lengths[:4] == [60, 120, 240, 480] and lengths[-1] == pauses.MAX_S
        now += pauses.FORGET_S * 1_000_000 + 1
        assert await pauses.pause(db, "tnt_1", account, "x", now_us=now) - now == 60_000_000
