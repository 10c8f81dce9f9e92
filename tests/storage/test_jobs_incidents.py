"""Long work that tells how far it is, and troubles that are told once."""

import asyncio
from typing import Any

import msgspec
import pytest

from core.errors import Conflict, NotFound
from core.storage import incidents, jobs
from core.storage.database import Database

pytestmark = pytest.mark.asyncio_loop

TENANT = "tnt_jobs"


async def look(db: Database, job_id: str) -> dict[str, Any]:
    body = await jobs.get_job_json(db, TENANT, job_id)
    assert body is not None
    return dict(msgspec.json.decode(body))


async def test_a_job_goes_from_queued_to_done(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        job = await jobs.create_job(
            db, TENANT, kind="export", total=10, created_by="usr_1", request_id="req_1"
        )
        assert (await look(db, job))["state"] == "queued"
        claimed = await jobs.claim_job(db, ["export"])
        assert claimed is not None
        assert (claimed["id"], claimed["tenant_id"], claimed["created_by"]) == (job, TENANT, "usr_1")
        assert await jobs.claim_job(db, ["export"]) is None
        assert await jobs.progress(db, TENANT, job, done=4, detail="half of it")
        seen = await look(db, job)
        assert (seen["state"], seen["done"], seen["total"], seen["detail"]) == (
            "running",
            4,
            10,
            "half of it",
        )
        await jobs.finish_job(db, TENANT, job, result={"rows": 10})
        seen = await look(db, job)
        assert (seen["state"], seen["result"], seen["error"]) == ("done", {"rows": 10}, None)
        assert seen["ended_at"].endswith("Z")
        with pytest.raises(Conflict):
            await jobs.fail_job(db, TENANT, job, code="x", detail="y")
        assert await jobs.get_job_json(db, "tnt_other", job) is None


async def test_two_workers_never_get_the_same_job(database_url: str) -> None:
    async with await Database.open(database_url, max_size=5) as db:
        made = [await jobs.create_job(db, TENANT, kind="race") for _ in range(6)]
        got = [one for one in await asyncio.gather(*(jobs.claim_job(db, ["race"]) for _ in range(10))) if one]
        assert sorted(one["id"] for one in got) == sorted(made)


async def test_asking_to_cancel_is_seen_by_the_worker(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        waiting = await jobs.create_job(db, TENANT, kind="cancel")
        await jobs.cancel_job(db, TENANT, waiting)
        assert (await look(db, waiting))["state"] == "cancelled"
        assert await jobs.claim_job(db, ["cancel"]) is None
        running = await jobs.create_job(db, TENANT, kind="cancel")
        await jobs.claim_job(db, ["cancel"])
        await jobs.cancel_job(db, TENANT, running)
        assert (await look(db, running))["cancel_asked"] is True
        assert not await jobs.progress(db, TENANT, running, done=1)
        await jobs.stop_job(db, TENANT, running)
        assert (await look(db, running))["state"] == "cancelled"
        with pytest.raises(Conflict):
            await jobs.cancel_job(db, TENANT, running)
        with pytest.raises(NotFound):
            await jobs.cancel_job(db, "tnt_other", running)


async def test_a_job_whose_worker_died_does_not_run_for_ever(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        job = await jobs.create_job(db, TENANT, kind="dies")
        await jobs.claim_job(db, ["dies"])
        assert await jobs.fail_abandoned(db, silent_s=60) == 0
        assert await jobs.fail_abandoned(db, silent_s=0) >= 1
        assert (await look(db, job))["error"]["code"] == "abandoned"
        assert not await jobs.progress(db, TENANT, job, done=1)


async def test_jobs_are_listed_newest_first(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        made = [await jobs.create_job(db, "tnt_jlist", kind="list") for _ in range(3)]
        first = await jobs.list_jobs_json(db, "tnt_jlist", limit=2)
        rest = await jobs.list_jobs_json(db, "tnt_jlist", limit=2, after=first.last)
        seen = [one["id"] for one in msgspec.json.decode(first.data) + msgspec.json.decode(rest.data)]
        assert seen == made[::-1]


async def test_the_same_trouble_is_one_incident_until_it_ends(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        first, fresh = await incidents.open_incident(db, "node_1", severity="degraded", summary="slow")
        assert fresh
        same, fresh = await incidents.open_incident(db, "node_1", severity="down", summary="does not answer")
        assert (same, fresh) == (first, False)
        other, _ = await incidents.open_incident(
            db, "valkey", severity="down", summary="gone", cause="refused"
        )
        listed = msgspec.json.decode(await incidents.list_incidents_json(db, only_open=True))
        assert {(one["id"], one["severity"]) for one in listed} == {(first, "down"), (other, "down")}
        assert await incidents.close_incident(db, "node_1") == first
        assert await incidents.close_incident(db, "node_1") is None
        again, fresh = await incidents.open_incident(db, "node_1", severity="notice", summary="again")
        assert fresh
        assert again != first
        listed = msgspec.json.decode(await incidents.list_incidents_json(db))
        assert [one["id"] for one in listed][-1] == first
        assert listed[-1]["ended_at"] is not None
