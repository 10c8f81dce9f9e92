"""What became of attempts to deliver a webhook: written down, and what it says of the endpoint; what is forgotten."""

from collections.abc import Sequence
from typing import Any

from core.model.webhooks import OFF_AFTER_S, WARN_AFTER_S, After, Attempt
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.texts import json_text, storable
from core.storage.webhook_work import NOW, Job
from core.storage.webhooks import entry_of

SLOW_MS = 2000
"""An endpoint that takes longer gets one delivery at a time."""
KEPT_ATTEMPTS = 20
KEEP_DELIVERED_US = 3 * 86_400_000_000
KEEP_FAILED_US = 30 * 86_400_000_000
PRUNED = 5_000
HOUR_US = 3_600_000_000


async def finish(db: Database, job: Job, owner: str, attempt: Attempt, then: After) -> None:
    """Write down what came of an attempt, and what follows for its endpoint.

    A failure of a host that lost its claim changes nothing (somebody else tries); a success counts whoever had it.
    """
    async with db.tenant(job.tenant_id) as connection:
        # (the endpoint first: whoever removes it locks in this order, too)
        endpoint = await connection.fetchrow(
            "select name, state, failing_since_us, warned, slow, last_delivered_us from webhooks"
            " where tenant_id = $1 and id = $2 and deleted_us = 0 for update",
            job.tenant_id,
            job.webhook_id,
        )
        written = await connection.fetchval(
            "update webhook_deliveries set state = $3, tries = tries + 1, status = $4, reason = $5,"  # noqa: S608
            " attempts = (case when jsonb_array_length(attempts) >= $6 then attempts - 0 else attempts end)"
            f" || jsonb_build_array($7::jsonb), due_us = case when $3 = 'waiting' then {NOW} + $8 else due_us end,"
            f" ended_us = case when $3 = 'waiting' then 0 else {NOW} end, claimed_by = '', claimed_until_us = 0"
            " where tenant_id = $1 and id = $2 and state = 'waiting' and (claimed_by = $9 or $3 = 'delivered')"
            " returning id",
            job.tenant_id,
            job.id,
            "waiting" if then.step == "again" else then.step,
            attempt.status,
            storable(then.reason),
            KEPT_ATTEMPTS,
            json_text(attempt),
            round(then.pause_s * 1e6),
            owner,
        )
        if written is None or endpoint is None:
            return
        good = then.step == "delivered"
        await connection.execute(
            "insert into webhook_hours as was (tenant_id, webhook_id, hour_us, delivered, failed)"
            " values ($1, $2, $3, $4, $5) on conflict (tenant_id, webhook_id, hour_us) do update set"
            " delivered = was.delivered + excluded.delivered, failed = was.failed + excluded.failed",
            job.tenant_id,
            job.webhook_id,
            attempt.at_us // HOUR_US * HOUR_US,
            int(good),
            int(not good),
        )
        await append(connection, await _judge(connection, job, endpoint, attempt, then))


async def _judge(connection: Connection, job: Job, was: Any, attempt: Attempt, then: After) -> list[NewEntry]:
    """What an attempt says of its endpoint: written where it changes something, and what to put into the log."""
    now, slow = attempt.at_us + attempt.took_ms * 1000, attempt.took_ms > SLOW_MS
    kinds: list[str] = []
    changes: dict[str, object] = {}
    if slow != was["slow"]:
        changes["slow"] = slow
    if then.step == "delivered":
        if was["failing_since_us"]:
            changes |= {"failing_since_us": 0, "warned": False}
            kinds += ["webhook.recovered"] if was["warned"] else []
        if changes or now - was["last_delivered_us"] > 1_000_000:
            changes["last_delivered_us"] = now
    else:
        since = was["failing_since_us"] or attempt.at_us
        failed_s = (now - since) / 1e6
        if not was["failing_since_us"]:
            changes["failing_since_us"] = since
        if was["state"] == "active" and (then.off or failed_s > OFF_AFTER_S):
            why = "it answered 410: it wants no more" if then.off else f"three days of failure: {then.reason}"
            changes |= {"state": "disabled", "reason": storable(why)}
            kinds.append("webhook.disabled")
        elif failed_s > WARN_AFTER_S and not was["warned"]:
            changes["warned"] = True
            kinds.append("webhook.failing")
    if changes:
        if "state" in changes:
            changes["updated_us"] = now
        bump = "version = version + 1, " if "state" in changes else ""
        assignments = bump + ", ".join(f"{column} = ${n}" for n, column in enumerate(changes, start=3))
        await connection.execute(
            f"update webhooks set {assignments} where tenant_id = $1 and id = $2",  # noqa: S608 - our own columns
            job.tenant_id,
            job.webhook_id,
            *changes.values(),
        )
    state, reason = str(changes.get("state", was["state"])), str(changes.get("reason", then.reason))
    return [
        entry_of(job.tenant_id, job.webhook_id, was["name"], state, kind, reason=reason) for kind in kinds
    ]


async def let_go(db: Database, jobs: Sequence[Job], owner: str) -> None:
    """Give back what was claimed and not tried: the host ends."""
    async with db.system() as connection:
        await connection.execute(
            "update webhook_deliveries d set claimed_by = '', claimed_until_us = 0"
            " from unnest($1::text[], $2::text[]) as u (tenant_id, id)"
            " where d.tenant_id = u.tenant_id and d.id = u.id and d.claimed_by = $3 and d.state = 'waiting'",
            [job.tenant_id for job in jobs],
            [job.id for job in jobs],
            owner,
        )


async def prune(db: Database) -> int:
    """Forget deliveries that ended long ago, some thousand at a time; how many that were."""
    async with db.system() as connection:
        done: str = await connection.execute(
            "delete from webhook_deliveries d using (select tenant_id, id from webhook_deliveries"  # noqa: S608
            f" where state <> 'waiting' and ended_us < {NOW} - case state when 'failed' then $2::bigint else $1 end"
            " order by ended_us limit $3) o where d.tenant_id = o.tenant_id and d.id = o.id",
            KEEP_DELIVERED_US,
            KEEP_FAILED_US,
            PRUNED,
        )
        await connection.execute(
            f"delete from webhook_hours where hour_us < {NOW} - $1",  # noqa: S608 - our own word
            KEEP_FAILED_US,
        )
    return int(done.split()[-1])
