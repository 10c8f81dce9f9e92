"""Somebody who only called is answered in writing: through which account, to which number, into which conversation."""

from typing import Any

import msgspec
import pytest

from core.clock import now_us
from core.ids import new_id
from core.model.records import Call
from core.storage import channels, voice
from core.storage.appending import append
from core.storage.entries import NewEntry
from tests.api.conftest import Connect
from tests.api.harness import SECRET
from tests.api.test_conversation_work import Team, team

pytestmark = pytest.mark.asyncio_loop

ANN = "+493012345678"
HER_OTHER = "+493012345679"


async def calls(ann: Team, number: str = ANN, *, by_us: bool = False) -> str:
    """A call that has ended; the conversation that it is in."""
    other = "+493099999999"
    call = Call(
        id=new_id("call"), tenant_id=ann.tenant, node="sw1", caller=other if by_us else number,
        destination=number if by_us else other, direction="outbound" if by_us else "inbound",
        created_us=now_us(), ended_us=now_us(), state="ended", version=1,
    )  # fmt: skip
    data = msgspec.json.encode({"call": call})
    async with ann.api.database.tenant(ann.tenant) as connection:
        entry = NewEntry(
            tenant_id=ann.tenant, type="call.ended", resource=call.id, occurred_us=now_us(), data=data
        )
        await append(connection, [entry])
    while await voice.work(ann.api.database, ann.tenant):
        pass
    found = await ann.ask("GET", "/conversations?limit=1")
    return str(found["data"][0]["id"])


async def answers(
    ann: Team, conversation: str, text: str = "sorry", *, status: int = 202, **more: Any
) -> Any:
    return await ann.ask(
        "POST", f"/conversations/{conversation}/messages", {"text": text, **more}, status=status,
        headers={"Idempotency-Key": new_id("key")},
    )  # fmt: skip


async def test_an_answer_to_a_caller_goes_through_the_chosen_account_to_the_number_that_called(
    connect: Connect,
) -> None:
    async with team(connect) as ann:
        talk = await calls(ann)
        assert (await answers(ann, talk, status=409))["code"] == "no_way_back"
        said = await answers(ann, talk, "We saw your call", channel_id=ann.account)
        assert (said["conversation_id"], said["channel_id"], said["state"]) == (talk, ann.account, "queued")
        assert (said["recipient"]["kind"], said["recipient"]["value"]) == ("phone", ANN)
        now = await ann.ask("GET", f"/conversations/{talk}")
        assert now["channel_id"] == ann.account
        # From now on it is a conversation like any other, and their answer comes back here.
        assert (await answers(ann, talk, "Are you there?"))["recipient"]["value"] == ANN
        assert (await ann.writes("Yes!", number=ANN)).conversation_id == talk


async def test_it_goes_where_they_have_an_open_conversation_through_that_account_already(
    connect: Connect,
) -> None:
    async with team(connect) as ann:
        talk = await calls(ann)
        other = (await ann.writes("unrelated", number=ANN)).conversation_id
        assert other != talk
        said = await answers(ann, talk, channel_id=ann.account)
        assert said["conversation_id"] == other
        assert (await ann.ask("GET", f"/conversations/{talk}"))["channel_id"] == ""


async def test_of_several_numbers_one_has_to_be_named_and_it_has_to_be_theirs(connect: Connect) -> None:
    async with team(connect) as ann:
        talk = await calls(ann, by_us=True)
        contact = (await ann.ask("GET", f"/conversations/{talk}"))["contact_id"]
        said = {"kind": "phone", "value": HER_OTHER}
        await ann.ask("POST", f"/contacts/{contact}/identities", said, status=201)
        refused = await answers(ann, talk, channel_id=ann.account, status=409)
        assert refused["code"] == "which_number"
        refused = await answers(ann, talk, channel_id=ann.account, to="+4930777777", status=409)
        assert refused["code"] == "not_theirs"
        assert (await ann.ask("GET", f"/conversations/{talk}"))["channel_id"] == ""
        said = await answers(ann, talk, channel_id=ann.account, to=HER_OTHER)
        assert said["recipient"]["value"] == HER_OTHER


async def test_a_call_in_between_changes_nothing_about_where_the_next_answer_goes(connect: Connect) -> None:
    async with team(connect) as ann:
        talk = (await ann.writes("hello", number=HER_OTHER)).conversation_id
        contact = (await ann.ask("GET", f"/conversations/{talk}"))["contact_id"]
        await ann.ask("POST", f"/contacts/{contact}/identities", {"kind": "phone", "value": ANN}, status=201)
        assert await calls(ann, ANN) == talk
        assert (await answers(ann, talk))["recipient"]["value"] == HER_OTHER


async def test_accounts_that_reach_no_numbers_or_are_not_ours_are_refused(connect: Connect) -> None:
    async with team(connect) as ann:

        async def account(tenant: str, kind: str) -> str:
            made = await channels.create_channel(
                ann.api.database, tenant, secret=SECRET, type=kind, name=kind, settings={}, hidden=set()
            )
            return made.id

        talk = await calls(ann)
        mail, second = await account(ann.tenant, "email.postmark"), await account(ann.tenant, "sms.plivo")
        theirs = await account(await ann.api.tenant("Others"), "sms.twilio")
        assert (await answers(ann, talk, channel_id=mail, status=400))["errors"][0][
            "pointer"
        ] == "/channel_id"
        assert (await answers(ann, talk, channel_id=theirs, status=404))["code"] == "no_such_channel"
        assert (await ann.ask("GET", f"/conversations/{talk}"))["channel_id"] == ""
        await answers(ann, talk, channel_id=ann.account)
        assert (await answers(ann, talk, channel_id=second, status=409))["code"] == "other_channel"
