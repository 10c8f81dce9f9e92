"""Rules and clocks follow the log: each entry once, whoever dies; what a rule did starts no rule; what is late is told once."""

import asyncio
import json
from typing import Any

import pytest

from core import automation, log
from core.clock import now_us
from core.errors import Conflict
from core.ids import new_id
from core.model.automation import Assign, Condition, Emit, Event, Label, Note, Priority, Reply, Resolve, Rule
from core.model.content import Macro, SlaPolicy, Template
from core.model.servicelevel import Targets
from core.storage import acting, content, conversation_merges, outbox, rule_book, rules
from core.storage.conversations import change, get_conversation, list_messages
from core.storage.database import Database
from core.storage.inbound import Arrival, Stored, write_inbound
from irisx_sdk import Address, Inbound, Text
from tests.storage.test_conversations import Inbox

pytestmark = pytest.mark.asyncio_loop

S = 1_000_000


class Desk:
    """A tenant with rules."""

    def __init__(self, db: Database) -> None:
        self.inbox = Inbox(db)
        self.db, self.tenant, self.said = db, self.inbox.tenant, 0

    async def open(self) -> "Desk":
        await self.inbox.open(people=0)
        return self

    async def rule(
        self, *actions: Any, on: Event = "message.received", position: int = 0, **more: Any
    ) -> str:
        rule = Rule((on,), actions, position=position, **more)
        body = await content.create_content(self.db, self.tenant, "rule", new_id("x"), rule, actor="usr_1")
        return str(json.loads(body)["id"])

    async def promise(self, *, schedule: str = "", **targets: int) -> str:
        policy = SlaPolicy(Targets(**targets), schedule_id=schedule)
        body = await content.create_content(
            self.db, self.tenant, "sla_policy", new_id("x"), policy, actor="usr_1"
        )
        return str(json.loads(body)["id"])

    async def writes(self, text: str = "hello", number: str = "+4930111111") -> Stored:
        self.said += 1
        said = Inbound(f"SM{self.said}", Address("phone", number), Text(text))
        (stored,) = await write_inbound(self.db, self.tenant, [Arrival("chn_1", said, now_us())])
        return stored

    async def answer(self, at: Stored, author: str = "usr_1") -> None:
        async with self.db.tenant(self.tenant) as connection:
            await outbox.enqueue(
                connection,
                self.tenant,
                outbox.NewMessage(
                    conversation_id=at.conversation_id,
                    contact_id=at.contact_id,
                    channel_id="chn_1",
                    to=Address("phone", "+4930111111"),
                    content=Text("yes"),
                    author=author,
                    now_us=now_us(),
                ),
            )

    async def work(self) -> None:
        await automation.follow(self.db, None, self.tenant)

    async def get(self, at: Stored) -> dict[str, Any]:
        return dict(json.loads(await get_conversation(self.db, self.tenant, at.conversation_id)))

    async def runs(self) -> list[dict[str, Any]]:
        async with self.db.reader(self.tenant) as connection:
            rows = await connection.fetch("select rule_id, seq, outcome, report from rule_runs order by seq")
        return [dict(row) for row in rows]

    async def kinds(self) -> list[str]:
        return [one.type for one in await log.read_entries(self.db, self.tenant, limit=1000)]

    async def breaches(self) -> list[str]:
        async with self.db.reader(self.tenant) as connection:
            return [
                row["clock"]
                for row in await connection.fetch("select clock from sla_breaches order by at_us, id")
            ]

    async def pass_time(self, at: Stored, seconds: int) -> None:
        """As if the clocks had begun so much earlier."""
        async with self.db.tenant(self.tenant) as connection:
            for name in ("first_reply_due_us", "next_reply_due_us", "resolution_due_us", "due_us"):
                await connection.execute(
                    f"update conversation_clocks set {name} = greatest({name} - $2, 1) where conversation_id = $1"
                    f" and {name} > 0",
                    at.conversation_id,
                    seconds * S,
                )


async def test_a_rule_does_all_it_says_in_one_change(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        desk = await Desk(db).open()
        body = await content.create_content(
            db, desk.tenant, "template", "ack", Template("Hi {{contact.name|there}}, got it."), actor="usr_1"
        )
        template = json.loads(body)["id"]
        rule = await desk.rule(
            Label(add=("orders",)),
            Priority(3),
            Assign(desk.inbox.agents[0]),
            Note("about {{conversation.id}}"),
            Reply(template_id=template),
            Emit("order_question"),
            all=(Condition("text", "contains", "order"),),
        )
        other, place = await desk.writes("weather?", "+4930222222"), await desk.writes("Where is my ORDER")
        await desk.work()
        now = await desk.get(place)
        assert (now["labels"], now["priority"], now["assignee"]) == (["orders"], 3, desk.inbox.agents[0])
        assert (await desk.get(other))["labels"] == []
        page = await list_messages(
            db, desk.tenant, conversation_id=place.conversation_id, limit=9, after=None
        )
        texts = {
            one["kind"] + one["direction"]: (one["text"], one["author"]) for one in json.loads(page.data)
        }
        assert texts["messageout"] == ("Hi there, got it.", rule)
        assert texts["note"] == (f"about {place.conversation_id}", rule)
        (run,) = await desk.runs()
        assert run["outcome"] == "done" and all(one["ok"] for one in json.loads(run["report"]))
        said = [
            one
            for one in await log.read_entries(db, desk.tenant, limit=100)
            if one.type == "automation.emitted"
        ]
        event = json.loads(said[0].body)
        assert event["data"]["name"] == "order_question" and event["data"]["actor"] == rule
        assert event["causation_id"].startswith("evt_")


async def test_what_happened_before_a_rule_was_made_is_not_its_business(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        desk = await Desk(db).open()
        before = await desk.writes()
        await desk.rule(Label(add=("x",)))
        after = await desk.writes(number="+4930222222")
        await desk.work()
        assert ((await desk.get(before))["labels"], (await desk.get(after))["labels"]) == ([], ["x"])


async def test_what_a_rule_did_starts_no_rule(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        desk = await Desk(db).open()
        await desk.rule(Label(add=("a",)), Reply(text="automatic"), Note("n"), Resolve())
        for kind in ("conversation.labelled", "message.queued", "message.noted", "conversation.resolved"):
            await desk.rule(Label(add=(f"by {kind}",)), on=kind)
        place = await desk.writes()
        for _ in range(3):
            await desk.work()
        assert (await desk.get(place))["labels"] == ["a"]
        await change(
            db,
            desk.tenant,
            place.conversation_id,
            {"state": "open"},
            actor="usr_1",
            kind="conversation.labelled",
        )
        await desk.work()
        assert "by conversation.labelled" in (await desk.get(place))["labels"], (
            "a person's doing is looked at"
        )


async def test_two_machines_that_answer_each_other_end(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.model.automation.PER_HOUR", 3)
    async with await Database.open(database_url) as db:
        desk = await Desk(db).open()
        await desk.rule(Reply(text="I am away"))
        for _ in range(5):
            await desk.writes("I am away, too")
            await desk.work()
        assert [run["outcome"] for run in await desk.runs()] == ["done"] * 3 + ["limited"] * 2
        assert (await desk.kinds()).count("message.queued") == 3


async def test_a_machine_that_writes_waits_for_nobody_and_is_answered_by_no_rule(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        desk = await Desk(db).open()
        await desk.promise(first_reply_s=60)
        await desk.rule(Reply(text="I am away"), Label(add=("x",)))
        said = Inbound("SM1", Address("phone", "+4930111111"), Text("out of office"), automatic=True)
        (place,) = await write_inbound(db, desk.tenant, [Arrival("chn_1", said, now_us())])
        await desk.work()
        now = await desk.get(place)
        assert now["sla"] is None and now["labels"] == ["x"]
        assert "message.queued" not in await desk.kinds()
        (run,) = await desk.runs()
        assert run["outcome"] == "partly"


async def test_any_number_of_workers_do_each_thing_once(database_url: str) -> None:
    async with await Database.open(database_url, max_size=6) as db:
        desk = await Desk(db).open()
        await desk.rule(Note("seen"))
        for _ in range(15):
            await desk.writes()
        await asyncio.gather(*(desk.work() for _ in range(5)))
        await desk.work()
        assert (await desk.kinds()).count("message.noted") == 15
        assert len({run["seq"] for run in await desk.runs()}) == 15


async def test_an_entry_that_another_worker_has_dealt_with_meanwhile_is_done_already(
    database_url: str,
) -> None:
    async with await Database.open(database_url) as db:
        desk = await Desk(db).open()
        await desk.rule(Note("seen"))
        await desk.writes()
        async with db.reader(desk.tenant) as connection:
            book = await rule_book.read_book(connection, desk.tenant)
            (entry,) = await rule_book.read_entries(connection, desk.tenant, 0, 1000, ["message.received"])
        await desk.work()
        async with db.tenant(desk.tenant) as connection:
            assert await rules._deal_with(connection, desk.tenant, book, entry) == []
        assert (await desk.kinds()).count("message.noted") == 1


async def test_a_worker_that_dies_over_an_entry_has_done_nothing_and_the_next_one_does_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await Database.open(database_url) as db:
        desk = await Desk(db).open()
        await desk.rule(Note("seen"), Label(add=("x",)))
        place = await desk.writes()
        real = acting.act

        async def dies(*args: Any, **kwargs: Any) -> Any:
            await real(*args, **kwargs)
            raise asyncio.CancelledError

        monkeypatch.setattr(acting, "act", dies)
        with pytest.raises(asyncio.CancelledError):
            await desk.work()
        monkeypatch.setattr(acting, "act", real)
        assert (await desk.get(place))["labels"] == []
        await desk.work()
        assert (await desk.kinds()).count("message.noted") == 1


async def test_an_action_that_cannot_be_done_leaves_the_others(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        desk = await Desk(db).open()
        await desk.rule(
            Assign("usr_none"), Reply(template_id="tpl_none"), Reply(text="{{order.id}}"), Label(add=("x",))
        )
        place = await desk.writes()
        await desk.work()
        (run,) = await desk.runs()
        assert run["outcome"] == "partly"
        assert [one["code"] for one in json.loads(run["report"])] == [
            "no_such_user", "no_such_content", "missing_values", "",
        ]  # fmt: skip
        assert (await desk.get(place))["labels"] == ["x"]


async def test_of_a_macro_everything_happens_or_nothing(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        desk = await Desk(db).open()
        place = await desk.writes()
        macro = Macro((Label(add=("x",)), Assign("usr_none")))
        with pytest.raises(Conflict, match=r"action 1 \(assign\)"):
            async with db.tenant(desk.tenant) as connection:
                await acting.act(
                    connection,
                    desk.tenant,
                    place.conversation_id,
                    macro.actions,
                    actor="usr_1",
                    now_us=now_us(),
                    strict=True,
                )
        assert (await desk.get(place))["labels"] == []


async def test_promises_are_kept_or_broken_once(database_url: str) -> None:
    async with await Database.open(database_url, max_size=4) as db:
        desk = await Desk(db).open()
        policy = await desk.promise(first_reply_s=60, next_reply_s=30, resolution_s=3600)
        place = await desk.writes()
        await desk.work()
        shown = (await desk.get(place))["sla"]
        assert shown["policy"] == policy and shown["breached"] == []
        assert 50 * S < shown["first_reply_due_us"] - now_us() < 61 * S
        await desk.answer(place, author="rul_1")
        await desk.work()
        assert (await desk.get(place))["sla"]["first_reply_due_us"] > 0, "a machine's word is no answer"
        await desk.pass_time(place, 120)
        await asyncio.gather(*(desk.work() for _ in range(3)))
        await desk.work()
        assert await desk.breaches() == ["first_reply"]
        assert (await desk.kinds()).count("sla.breached") == 1
        await desk.answer(place)
        await desk.writes()
        await desk.work()
        assert (await desk.get(place))["sla"]["next_reply_due_us"] > now_us()
        await change(
            db,
            desk.tenant,
            place.conversation_id,
            {"state": "resolved"},
            actor="usr_1",
            kind="conversation.resolved",
        )
        await desk.work()
        shown = (await desk.get(place))["sla"]
        assert (shown["next_reply_due_us"], shown["resolution_due_us"]) == (0, 0)


async def test_an_answer_in_time_that_is_read_late_breaks_nothing(database_url: str) -> None:
    """The worker was away: by its own clock everything is late, by the log nothing is."""
    async with await Database.open(database_url) as db:
        desk = await Desk(db).open()
        await desk.promise(first_reply_s=60)
        place = await desk.writes()
        while (await rules.work(db, desk.tenant, now_us=now_us())).more:
            pass
        await desk.answer(place)
        tomorrow = now_us() + 86_400 * S
        async with db.reader(desk.tenant) as connection:
            book = await rule_book.read_book(connection, desk.tenant)
        async with db.tenant(desk.tenant) as connection:
            assert not await rules._look_at_clocks(connection, desk.tenant, book, tomorrow), (
                "the answer comes first"
            )
        while (await rules.work(db, desk.tenant, now_us=tomorrow)).more:
            pass
        assert await desk.breaches() == []


async def test_a_conversation_answers_for_what_was_promised_in_the_one_that_became_part_of_it(
    database_url: str,
) -> None:
    async with await Database.open(database_url) as db:
        desk = await Desk(db).open()
        await desk.promise(first_reply_s=60, next_reply_s=60)
        kept = await desk.writes()
        await desk.answer(kept)
        said = Inbound("SM-other", Address("phone", "+4930111111"), Text("still waiting"))
        (gone,) = await write_inbound(db, desk.tenant, [Arrival("chn_2", said, now_us())])
        await desk.work()
        waits = (await desk.get(gone))["sla"]["first_reply_due_us"]
        await conversation_merges.merge(
            db, desk.tenant, kept.conversation_id, gone.conversation_id, actor="usr_1"
        )
        await desk.work()
        assert (await desk.get(kept))["sla"]["first_reply_due_us"] == waits > 0
        await desk.pass_time(kept, 120)
        await desk.work()
        assert await desk.breaches() == ["first_reply"]


async def test_a_breach_can_start_a_rule(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        desk = await Desk(db).open()
        await desk.promise(first_reply_s=60)
        await desk.rule(Priority(9), on="sla.breached", all=(Condition("clock", "eq", "first_reply"),))
        place = await desk.writes()
        await desk.work()
        await desk.pass_time(place, 120)
        await desk.work()
        assert (await desk.get(place))["priority"] == 9


async def test_the_worker_finds_the_tenants_with_something_to_do(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        desk, idle = await Desk(db).open(), await Desk(db).open()
        await desk.rule(Label(add=("x",)))
        await idle.writes()
        await desk.writes()
        found = await rules.tenants_to_do(db, now_us=now_us())
        assert desk.tenant in found and idle.tenant not in found
        for _ in range(2):  # (the second time for what the rule did)
            await desk.work()
        assert desk.tenant not in await rules.tenants_to_do(db, now_us=now_us())
