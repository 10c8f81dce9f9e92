"""Webhooks at work: every entry of the log that an endpoint asked for arrives, signed, under one id, whatever the endpoint,
the network or a kill -9 does; and no endpoint is in another one's way."""

import os
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from core import log, webhooks
from core.aio import Bridge, open_bridge
from core.channel_account import Parts
from core.clock import now_us
from core.config import Settings
from core.ids import new_id
from core.model import webhooks as model
from core.storage import webhook_log, webhook_work
from core.storage import webhooks as store
from core.storage.database import Database
from core.storage.entries import NewEntry
from core.webhooks import Webhooks
from tests.core.receiver import cut, drip, hang, huge, receiving, rubbish

SECRET = "a secret of this installation"
NETWORKS = ("127.0.0.1/32",)
ROOT = Path(__file__).parents[2]
TLS = ssl.create_default_context()


class World:
    """A tenant with a log, endpoints, and a host that delivers."""

    def __init__(self, bridge: Bridge, db: Database, nursery: trio.Nursery) -> None:
        self.bridge, self.db, self.nursery = bridge, db, nursery
        self.tenant = new_id("tnt")

    async def call(self, act: Callable[..., Any], *args: Any, **more: Any) -> Any:
        return await self.bridge.run(partial(act, **more), self.db, *args)

    async def happens(self, *types: str, tenant: str = "") -> None:
        """Entries of these types come into the log, in one transaction.

        (Types that nobody else's worker looks into: a whole host runs in some tests, and what these hold is nothing.)
        """

        async def write() -> None:
            of = tenant or self.tenant
            async with self.db.tenant(of) as connection:
                entries = [
                    NewEntry(
                        tenant_id=of, type=kind, resource="r", data=b'{"n":%d}' % n, occurred_us=now_us()
                    )
                    for n, kind in enumerate(types)
                ]
                await log.append(connection, entries)

        await self.bridge.run(write)

    async def endpoint(self, url: str, *types: str, tenant: str = "", at_once: int = 1) -> tuple[str, str]:
        """Its id and its secret."""
        made, secret = await self.call(
            store.create_webhook,
            tenant or self.tenant,
            secret=SECRET,
            name="Ours",
            url=url,
            types=types or ("*",),
            at_once=at_once,
        )
        return made.id, secret

    def host(
        self, *, networks: tuple[str, ...] = NETWORKS, name: str = ""
    ) -> tuple[Webhooks, trio.CancelScope]:
        """A host that delivers until its scope is cancelled."""
        unused: Any = None
        parts = Parts(
            name or new_id("chh"), self.bridge, unused, self.db, unused, unused, TLS, {},
            secret=SECRET, webhook_networks=networks,
        )  # fmt: skip
        scope, host = trio.CancelScope(), Webhooks(parts)

        async def run() -> None:
            with scope:
                await host.run()

        self.nursery.start_soon(run)
        return host, scope

    async def look(self, webhook_id: str) -> store.Webhook:
        found: store.Webhook = await self.call(store.get_webhook, self.tenant, webhook_id)
        return found

    async def deliveries(self, webhook_id: str) -> list[dict[str, Any]]:
        """With their attempts, oldest first."""

        async def read() -> list[dict[str, Any]]:
            async with self.db.reader(self.tenant) as connection:
                rows = await connection.fetch(
                    "select * from webhook_deliveries where webhook_id = $1 order by seq, created_us",
                    webhook_id,
                )
            return [{**dict(row), "attempts": msgspec.json.decode(row["attempts"])} for row in rows]

        return await self.bridge.run(read)

    async def until(
        self, webhook_id: str, done: Callable[[list[dict[str, Any]]], object]
    ) -> list[dict[str, Any]]:
        with trio.fail_after(20):
            while True:
                found = await self.deliveries(webhook_id)
                if found and done(found):
                    return found
                await trio.sleep(0.02)

    async def age(self, webhook_id: str, assignments: str) -> None:
        """Change the endpoint's row behind everybody's back: time has passed."""

        async def write() -> None:
            async with self.db.tenant(self.tenant) as connection:
                await connection.execute(f"update webhooks set {assignments} where id = $1", webhook_id)

        await self.bridge.run(write)

    async def told(self) -> list[str]:
        entries = await self.bridge.run(partial(log.read_entries, limit=1000), self.db, self.tenant)
        return [entry.type for entry in entries if entry.type.startswith("webhook.")]


@asynccontextmanager
async def world(database_url: str) -> AsyncIterator[World]:
    async with open_bridge() as bridge:
        db = await bridge.run(partial(Database.open, max_size=6), database_url)
        try:
            async with trio.open_nursery() as nursery:
                yield World(bridge, db, nursery)
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                # The tests of this file share a database: nobody delivers for this one any more.
                await bridge.run(partial(switch_off, db))
                await bridge.run(db.close)


async def switch_off(db: Database) -> None:
    async with db.system() as connection:
        await connection.execute("update webhooks set state = 'disabled'")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks often, and retries soon."""
    monkeypatch.setattr(webhooks, "LOOK_S", 0.02)
    monkeypatch.setattr(webhooks, "ATTEMPT_S", 1.0)
    monkeypatch.setattr(model, "SCHEDULE_S", (0.1, 0.2, 0.3))


async def test_what_happens_arrives_in_its_order_signed_and_as_the_log_has_it(database_url: str) -> None:
    async with world(database_url) as here, receiving() as receiver:
        await here.happens("thing.created")
        hook, secret = await here.endpoint(receiver.url)
        here.host()
        await here.happens("thing.answered", "note.received", "thing.ended")
        await receiver.until(4)
        assert [one.entry["type"] for one in receiver.heard] == [
            "webhook.created", "thing.answered", "note.received", "thing.ended",
        ]  # fmt: skip
        assert receiver.seqs() == [2, 3, 4, 5]
        assert receiver.genuine(secret, time.time())
        one = receiver.heard[1]
        stored = await here.call(log.get, here.tenant, one.id)
        assert one.entry == {**msgspec.json.decode(stored), "timestamp": one.entry["occurred_at"]}
        found = await here.until(hook, lambda all: all[-1]["state"] == "delivered")
        assert [(row["state"], row["status"], len(row["attempts"])) for row in found] == [
            ("delivered", 200, 1)
        ] * 4
        assert found[1]["attempts"][0]["excerpt"] == "ok"
        seen = await here.look(hook)
        assert (seen.waiting, seen.delivered_day, seen.failed_day, seen.place) == (0, 4, 0, 5)
        assert secret not in str(seen)


async def test_an_endpoint_hears_only_what_it_asked_for_and_nobody_elses(database_url: str) -> None:
    async with world(database_url) as here, receiving() as receiver:
        await here.endpoint(receiver.url, "thing.*", "note.received")
        other = new_id("tnt")
        here.host()
        await here.happens("thing.ended", tenant=other)
        await here.happens("things.made", "thing.created", "note.sent", "note.received")
        await receiver.until(2)
        await trio.sleep(0.1)
        assert [one.entry["type"] for one in receiver.heard] == ["thing.created", "note.received"]


async def test_a_failed_delivery_comes_again_under_the_same_id_with_a_new_timestamp(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(database_url) as here, receiving() as receiver:
        receiver.status = 503
        hook, secret = await here.endpoint(receiver.url, "thing.*")
        here.host()
        await here.happens("thing.created")
        await receiver.until(2)
        receiver.status = 200
        (row,) = await here.until(hook, lambda all: all[0]["state"] == "delivered")
        assert len({one.id for one in receiver.heard}) == 1
        assert receiver.genuine(secret, time.time())
        statuses = [one["status"] for one in row["attempts"]]
        assert statuses == [503] * (len(statuses) - 1) + [200]
        assert (await here.look(hook)).failing_since_us == 0


async def test_a_delivery_is_given_up_after_the_last_try(database_url: str) -> None:
    async with world(database_url) as here, receiving() as receiver:
        receiver.status = 500
        hook, _ = await here.endpoint(receiver.url, "thing.*")
        here.host()
        await here.happens("thing.created")
        (row,) = await here.until(hook, lambda all: all[0]["state"] == "failed")
        assert len(receiver.heard) == 4
        assert row["reason"] == "it answered 500; tried 4 times"
        await here.call(webhook_log.redeliver, here.tenant, hook, row["id"])
        receiver.status = 200
        (row,) = await here.until(hook, lambda all: all[0]["state"] == "delivered")
        assert len(row["attempts"]) == 5


@pytest.mark.parametrize(("behaviour", "error"), [(hang, "timeout"), (drip, "timeout"), (cut, "connection_lost"), (rubbish, "bad_answer")])  # fmt: skip
async def test_whoever_answers_nothing_usable_is_tried_again_in_time(
    database_url: str, monkeypatch: pytest.MonkeyPatch, behaviour: Any, error: str
) -> None:
    monkeypatch.setattr(webhooks, "ATTEMPT_S", 0.3)
    async with world(database_url) as here, receiving() as receiver:
        receiver.behave = behaviour
        hook, _ = await here.endpoint(receiver.url, "thing.*")
        here.host()
        await here.happens("thing.created")
        await receiver.until(2)
        receiver.behave = None
        (row,) = await here.until(hook, lambda all: all[0]["state"] == "delivered")
        assert row["attempts"][0]["error"] == error
        assert row["attempts"][0]["took_ms"] < 800


async def test_10_megabytes_of_answer_are_a_delivery_and_1_kilobyte_of_them_is_kept(
    database_url: str,
) -> None:
    async with world(database_url) as here, receiving() as receiver:
        receiver.behave = huge
        hook, _ = await here.endpoint(receiver.url, "thing.*")
        here.host()
        await here.happens("thing.created")
        (row,) = await here.until(hook, lambda all: all[0]["state"] == "delivered")
        excerpt = row["attempts"][0]["excerpt"]
        assert excerpt.startswith("<b>\ufffd<b>") and len(excerpt) == 1024


async def test_a_redirect_into_the_inside_is_not_followed(database_url: str) -> None:
    async with world(database_url) as here, receiving() as receiver, receiving() as inside:
        receiver.status, receiver.more = 307, [("location", inside.url)]
        hook, _ = await here.endpoint(receiver.url, "thing.*")
        here.host()
        await here.happens("thing.created")
        (row,) = await here.until(hook, lambda all: all[0]["state"] == "failed")
        assert row["reason"] == "it answered 307: redirects are not followed"
        assert inside.heard == []


class Names(trio.abc.HostnameResolver):
    """A name that points elsewhere at every look, as an attacker's does."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    async def getaddrinfo(self, host: Any, port: Any, *_: Any, **__: Any) -> list[Any]:
        address = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        return [(trio.socket.AF_INET, trio.socket.SOCK_STREAM, 6, "", (address, port))]

    async def getnameinfo(self, *_: Any) -> Any:
        raise OSError("nobody asks for the name of an address here")


async def test_a_name_that_turns_inward_is_refused_at_the_connection_and_looked_up_once_for_it(
    database_url: str,
) -> None:
    async with world(database_url) as here, receiving() as receiver:
        receiver.more = [("connection", "close")]
        trio.socket.set_custom_hostname_resolver(Names("127.0.0.1", "127.0.0.2"))
        hook, _ = await here.endpoint(f"http://hooks.example:{receiver.port}/", "thing.*")
        here.host()
        await here.happens("thing.created")
        await receiver.until(1)
        await here.happens("thing.ended")
        rows = await here.until(hook, lambda all: len(all) == 2 and all[1]["attempts"])
        assert (rows[0]["state"], rows[1]["attempts"][0]["error"]) == ("delivered", "private_address")
        assert len(receiver.heard) == 1


async def test_without_an_operators_setting_this_machine_is_out_of_reach(database_url: str) -> None:
    async with world(database_url) as here, receiving() as receiver:
        hook, _ = await here.endpoint(receiver.url, "thing.*")
        here.host(networks=())
        await here.happens("thing.created")
        (row,) = await here.until(hook, lambda all: all[0]["attempts"])
        assert row["attempts"][0]["error"] == "private_address"
        assert receiver.heard == []


async def test_a_closed_port_is_no_connection(database_url: str) -> None:
    async with world(database_url) as here:
        closed, _ = await here.endpoint("http://127.0.0.1:9/", "thing.*")
        here.host()
        await here.happens("thing.created")
        (row,) = await here.until(closed, lambda all: all[0]["attempts"])
        assert row["attempts"][0]["error"] == "connection_failed"


async def test_whoever_hangs_delays_nobody_else_and_is_not_asked_much(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "ATTEMPT_S", 4.0)
    async with world(database_url) as here, receiving() as slow, receiving() as quick:
        slow.behave = hang
        other = new_id("tnt")
        hook, _ = await here.endpoint(slow.url, "thing.*", at_once=4)
        await here.endpoint(quick.url, "thing.*", tenant=other, at_once=4)
        here.host()
        await here.happens(*["thing.created"] * 40)
        await slow.until(4)
        began = trio.current_time()
        await here.happens(*["thing.created"] * 40, tenant=other)
        await quick.until(40)
        assert trio.current_time() - began < 3.5  # less than one try of the one that hangs
        monkeypatch.setattr(webhooks, "ATTEMPT_S", 0.2)
        assert slow.most_open == 4
        await here.until(hook, lambda all: sum(len(row["attempts"]) for row in all) >= 4)
        slow.most_open = 0
        await here.until(hook, lambda all: sum(len(row["attempts"]) for row in all) >= 6)
        assert slow.most_open == 1  # one at a time while it fails


async def test_410_and_three_days_of_failure_switch_an_endpoint_off_with_a_reason(database_url: str) -> None:
    async with world(database_url) as here, receiving() as receiver:
        receiver.status = 410
        gone, _ = await here.endpoint(receiver.url, "thing.*")
        here.host()
        await here.happens("thing.created")
        await here.until(gone, lambda all: all[0]["state"] == "failed")
        seen = await here.look(gone)
        assert (seen.state, seen.reason) == ("disabled", "it answered 410: it wants no more")
        receiver.status = 500
        failing, _ = await here.endpoint(receiver.url, "thing.*")
        await here.age(failing, f"failing_since_us = {now_us() - 2 * model.WARN_AFTER_S * 1_000_000}")
        await here.happens("thing.created")
        await here.until(failing, lambda all: all[0]["attempts"])
        assert (await here.told())[-1] == "webhook.failing"
        await here.age(failing, f"failing_since_us = {now_us() - (model.OFF_AFTER_S + 60) * 1_000_000}")
        await here.happens("thing.created")
        with trio.fail_after(20):
            while (seen := await here.look(failing)).state != "disabled":
                await trio.sleep(0.02)
        assert seen.reason == "three days of failure: it answered 500"
        assert (await here.told()).count("webhook.disabled") == 2
        # Switched on again it goes on where it was: nothing of the meantime is lost.
        await here.happens("thing.ended")
        receiver.status = 200
        await here.call(store.update_webhook, here.tenant, failing, state="active")
        await here.until(failing, lambda all: len(all) == 3 and all[2]["state"] == "delivered")


async def test_both_secrets_sign_during_a_rotation_and_the_old_one_not_after_it(database_url: str) -> None:
    async with world(database_url) as here, receiving() as receiver:
        hook, old = await here.endpoint(receiver.url, "thing.*")
        here.host()
        _, new = await here.call(store.rotate_secret, here.tenant, hook, secret=SECRET, overlap_s=1)
        await here.happens("thing.created")
        await receiver.until(1)
        assert receiver.genuine(old, time.time()) and receiver.genuine(new, time.time())
        await trio.sleep(1.05)
        receiver.heard.clear()
        await here.happens("thing.created")
        await receiver.until(1)
        assert receiver.genuine(new, time.time()) and not receiver.genuine(old, time.time())


async def test_a_range_is_replayed_and_a_test_comes_whatever_was_asked_for(database_url: str) -> None:
    async with world(database_url) as here, receiving() as receiver:
        hook, _ = await here.endpoint(receiver.url, "thing.*")
        here.host()
        await here.happens(*["thing.created", "other.lost"] * 5)
        await receiver.until(5)
        first = receiver.seqs()
        count = await here.call(webhook_log.replay, here.tenant, hook, from_seq=first[1], to_seq=first[3])
        assert count == 3
        await receiver.until(8)
        assert sorted(receiver.seqs()[5:]) == first[1:4]
        assert {one.id for one in receiver.heard[5:]} == {one.id for one in receiver.heard[1:4]}
        made = await here.call(webhook_log.send_test, here.tenant, hook)
        await receiver.until(9)
        assert receiver.heard[-1].entry["type"] == "webhook.tested"
        everything, _ = await here.endpoint(receiver.url)
        tested = await here.call(webhook_log.send_test, here.tenant, everything)
        rows = await here.until(everything, lambda all: all[-1]["state"] == "delivered" and len(all) >= 2)
        assert [row["kind"] for row in rows if row["type"] == "webhook.tested"] == ["test"]
        assert made != tested


async def test_two_hosts_share_the_work_and_nothing_comes_twice(database_url: str) -> None:
    async with world(database_url) as here, receiving() as receiver:
        hook, _ = await here.endpoint(receiver.url, "thing.*", at_once=8)
        one, _ = here.host(name="one")
        two, _ = here.host(name="two")
        for _ in range(20):
            await here.happens(*["thing.created"] * 10)
        await here.until(hook, lambda all: len(all) == 200 and all_delivered(all))
        assert sorted(receiver.seqs()) == list(range(2, 202))
        assert one.statistics()["delivered"] + two.statistics()["delivered"] == 200
        assert receiver.most_open <= 8


def all_delivered(rows: list[dict[str, Any]]) -> bool:
    return all(row["state"] == "delivered" for row in rows)


async def test_a_backlog_waits_in_the_log_and_not_in_the_table(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(database_url) as here, receiving() as receiver:
        receiver.behave = hang
        hook, _ = await here.endpoint(receiver.url, "thing.*")
        for _ in range(15):
            await here.happens(*["thing.created"] * 100)
        here.host()
        await receiver.until(1)
        await trio.sleep(0.3)
        rows = await here.deliveries(hook)
        assert webhook_work.BACKLOG <= len(rows) <= webhook_work.BACKLOG + webhook_work.PLANNED


async def test_what_the_log_has_forgotten_is_told_as_a_gap(database_url: str) -> None:
    async with world(database_url) as here, receiving() as receiver:
        await here.endpoint(receiver.url, "thing.*", "webhook.gap")
        await here.happens(*["thing.created"] * 3)

        async def forget() -> None:
            async with here.db.tenant(here.tenant) as connection:
                await connection.execute("update log_heads set oldest = 4 where tenant_id = $1", here.tenant)
                await connection.execute("delete from events where tenant_id = $1 and seq < 4", here.tenant)

        await here.bridge.run(forget)
        here.host()
        await receiver.until(2)
        (gap,) = [one.entry for one in receiver.heard if one.entry["type"] == "webhook.gap"]
        assert (gap["data"]["webhook"]["from_seq"], gap["data"]["webhook"]["to_seq"]) == (1, 3)


async def test_a_host_that_is_told_to_stop_gives_back_what_it_has(database_url: str) -> None:
    async with world(database_url) as here, receiving() as receiver:
        receiver.behave = hang
        hook, _ = await here.endpoint(receiver.url, "thing.*")
        _, scope = here.host(name="first")
        await here.happens("thing.created")
        await receiver.until(1)
        scope.cancel()
        receiver.behave = None
        here.host(name="second")
        await here.until(hook, lambda all: all[0]["state"] == "delivered")
        assert len({one.id for one in receiver.heard}) == 1


@pytest.mark.faults
@pytest.mark.parametrize("step", ["planned", "claimed", "delivered"])
async def test_after_a_kill_nothing_is_lost_and_what_comes_twice_has_the_same_id(
    database_url: str, redis_url: str, tmp_path: Path, step: str
) -> None:
    async with world(database_url) as here, receiving() as receiver:
        hook, secret = await here.endpoint(receiver.url, "thing.*", at_once=4)
        await here.happens(*["thing.happened"] * 6)
        settings = Settings(
            database_url=database_url, redis_url=redis_url, secret=SECRET, state_dir=tmp_path, webhook_networks=NETWORKS
        )  # fmt: skip
        env = {"PATH": os.environ["PATH"], **settings.environment()}
        killed = await trio.run_process(
            [sys.executable, "-m", "tests.core.killed_webhooks", step],
            env=env, cwd=ROOT, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert killed.returncode == -9
        here.host()
        await here.until(hook, lambda all: len(all) == 6 and all_delivered(all))
        by_seq: dict[int, set[str]] = {}
        for one in receiver.heard:
            by_seq.setdefault(one.entry["seq"], set()).add(one.id)
        assert sorted(by_seq) == list(range(2, 8))
        assert all(len(ids) == 1 for ids in by_seq.values())
        assert receiver.genuine(secret, time.time())
        if step == "delivered":
            assert len(receiver.heard) > 6
