"""Rules and promises at work in running channel hosts: soon, once, and without holding anybody up."""

import json
from pathlib import Path
from typing import Any

import pytest

from core import automation, log
from core.clock import now_us
from core.errors import IrisxError, Unavailable
from core.model.automation import Condition, Label, Note, Rule
from core.model.content import SlaPolicy
from core.model.servicelevel import Targets
from core.storage import content, rules
from core.storage.conversations import get_conversation
from core.storage.database import Database
from core.storage.inbound import Arrival, write_inbound
from core.storage.rule_book import Entry
from irisx_sdk import Address, Inbound, Text
from tests.core.test_channel_host import hosting, settings_of, until
from tests.storage.test_rules import Desk

pytestmark = pytest.mark.asyncio_loop


async def test_running_hosts_share_the_rules_and_keep_time(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = settings_of(database_url, redis_url, tmp_path)
    async with await Database.open(database_url) as db:
        tenant = (await Desk(db).open()).tenant
        for kind, doc in (
            ("rule", Rule(("message.received",), (Label(add=("new",)), Note("seen")))),
            (
                "rule",
                Rule(
                    ("sla.breached",), (Label(add=("late",)),), all=(Condition("clock", "eq", "first_reply"),)
                ),
            ),
            ("sla_policy", SlaPolicy(Targets(first_reply_s=1))),
        ):
            await content.create_content(db, tenant, kind, f"{doc!r}"[:100], doc, actor="usr_1")  # type: ignore[arg-type]
        with hosting(settings), hosting(settings):
            said = Inbound("SM1", Address("phone", "+4930111111"), Text("hello"))
            (place,) = await write_inbound(db, tenant, [Arrival("chn_1", said, now_us())])

            async def labels() -> Any:
                found = json.loads(await get_conversation(db, tenant, place.conversation_id))
                return found if set(found["labels"]) == {"new", "late"} else None

            found = await until(labels, "both rules have acted")
        assert found["sla"]["breached"] == ["first_reply"]
        kinds = [one.type for one in await log.read_entries(db, tenant, limit=200)]
        assert kinds.count("message.noted") == kinds.count("sla.breached") == 1


class Rings:
    """A bus that only remembers which bells were rung."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    async def ring(self, channel_id: str) -> None:
        self.rung.append(channel_id)


async def test_a_tenant_whose_rules_fail_rests_and_holds_up_nobody(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await Database.open(database_url) as db:
        bad, good = await Desk(db).open(), await Desk(db).open()
        for desk in (bad, good):
            await desk.rule(Label(add=("x",)))
        places = [await desk.writes() for desk in (bad, good)]
        real, asked = rules.work, []

        async def work(db_: Database, tenant_id: str, *, now_us: int) -> rules.Progress:
            asked.append(tenant_id)
            if tenant_id == bad.tenant:
                raise Unavailable("not now", code="database_down")
            return await real(db_, tenant_id, now_us=now_us)

        monkeypatch.setattr(rules, "work", work)
        resting: dict[str, float] = {}
        bus: Any = Rings()
        await automation._look(db, bus, resting)
        await automation._look(db, bus, resting)
        assert asked.count(bad.tenant) == 1 and bad.tenant in resting
        assert (await good.get(places[1]))["labels"] == ["x"]
        monkeypatch.setattr(rules, "work", real)
        resting.clear()
        await automation._look(db, bus, resting)
        assert (await bad.get(places[0]))["labels"] == ["x"], "nothing is lost by resting"


async def test_an_entry_that_cannot_be_dealt_with_is_passed_by_and_said(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await Database.open(database_url) as db:
        desk = await Desk(db).open()
        await desk.rule(Label(add=("x",)))
        first, second = await desk.writes(), await desk.writes(number="+4930222222")
        real = rules._run

        async def run(
            connection: Any, tenant_id: str, book: Any, rule_id: str, rule: Rule, entry: Entry
        ) -> Any:
            if entry.conversation_id == first.conversation_id:
                raise IrisxError("a poisonous one", code="bad_value")
            return await real(connection, tenant_id, book, rule_id, rule, entry)

        monkeypatch.setattr(rules, "_run", run)
        progress = await rules.work(db, desk.tenant, now_us=now_us())
        assert [code for _, code in progress.skipped] == ["bad_value"]
        assert (await desk.get(second))["labels"] == ["x"]
