"""Switches in the store: their secrets, their states, and the token that says who may write."""

import asyncio

import msgspec
import pytest

from core import log
from core.config import SwitchAddress
from core.errors import Conflict, NotFound, RequestError
from core.storage import incidents, nodes
from core.storage.calls import write_changes
from core.storage.database import Database
from core.storage.sealing import Sealer, WrongSecret, derive_key
from tests.storage.samples import SECRET, call, change

pytestmark = pytest.mark.asyncio_loop

URL = "esl://admin:Clue%20Con@10.0.0.5:8031"


async def test_a_switch_is_kept_with_its_password_sealed(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        made = await nodes.create_node(
            db, secret=SECRET, name="berlin", url=URL, settings={"recovers_calls": True}
        )
        assert made.url == "esl://admin:***@10.0.0.5:8031"
        assert (made.host, made.port, made.state, made.default_tenant) == (
            "10.0.0.5",
            8031,
            "active",
            "tnt_main",
        )
        assert made.settings == {"recovers_calls": True}
        (shown,) = [node for node in await nodes.list_nodes(db) if node.name == "berlin"]
        assert shown == made == await nodes.get_node(db, made.id)
        (whole,) = [node for node in await nodes.all_nodes(db, secret=SECRET) if node.name == "berlin"]
        assert whole.url == URL
        async with db.system() as connection:
            dump = await connection.fetchval("select string_agg(nodes::text, '') from nodes")
            dump += (await connection.fetchval("select secret from nodes where id = $1", made.id)).decode(
                "latin-1"
            )
        assert "Clue" not in dump
        with pytest.raises(WrongSecret):
            await nodes.all_nodes(db, secret="another secret, as long")
        # A new secret in front seals; the old one behind it still opens.
        both = await nodes.all_nodes(db, secret=f"another secret, as long,{SECRET}")
        assert URL in [node.url for node in both]


async def test_names_are_unique_and_tenants_must_exist(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        first = await nodes.create_node(db, secret=SECRET, name="paris", url="esl://h")
        other = await nodes.create_node(db, secret=SECRET, name="lyon", url="esl://h")
        with pytest.raises(Conflict, match="paris"):
            await nodes.create_node(db, secret=SECRET, name="paris", url="esl://h")
        with pytest.raises(Conflict, match="paris"):
            await nodes.update_node(db, other.id, name="paris")
        with pytest.raises(NotFound, match="tnt_none"):
            await nodes.update_node(db, first.id, default_tenant="tnt_none")
        with pytest.raises(NotFound):
            await nodes.create_node(db, secret=SECRET, name="nice", url="esl://h", default_tenant="tnt_none")
        assert "nice" not in [node.name for node in await nodes.list_nodes(db)]


@pytest.mark.parametrize(
    "url", ["", "http://h", "esl://", "esl://h:99999", "esl://h:x", "esl://h\r\nauth x", "esl://h x"]
)
async def test_an_address_must_be_one(database_url: str, url: str) -> None:
    async with await Database.open(database_url) as db:
        with pytest.raises(RequestError, match="esl://"):
            await nodes.create_node(db, secret=SECRET, name="odd", url=url)


async def test_a_change_based_on_an_old_look_is_refused(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        made = await nodes.create_node(db, secret=SECRET, name="rome", url="esl://h")
        newer = await nodes.update_node(db, made.id, version=made.version, dial_template="user/{number}")
        assert (newer.version, newer.dial_template) == (made.version + 1, "user/{number}")
        with pytest.raises(Conflict, match="changed since"):
            await nodes.update_node(db, made.id, version=made.version, name="roma")
        moved = await nodes.update_node(db, made.id, secret=SECRET, url="esl://:other@h2:9")
        assert (moved.url, moved.host, moved.port) == ("esl://:***@h2:9", "h2", 9)
        with pytest.raises(RequestError, match=r"\{number\}"):
            await nodes.update_node(db, made.id, dial_template="user/7")
        with pytest.raises(NotFound):
            await nodes.update_node(db, "node_none", name="x")
        with pytest.raises(NotFound):
            await nodes.get_node(db, "node_none")


async def test_tokens_only_grow_whoever_draws_them(database_url: str) -> None:
    async with await Database.open(database_url, max_size=4) as db:
        made = await nodes.create_node(db, secret=SECRET, name="oslo", url="esl://h")
        drawn = await asyncio.gather(*(nodes.draw_fence(db, made.id, owner=f"ctl-{n}") for n in range(20)))
        assert sorted(drawn) == list(range(1, 21))
        assert (await nodes.get_node(db, made.id)).fence == 20
        with pytest.raises(NotFound):
            await nodes.draw_fence(db, "node_none")


async def test_states_are_told_to_everybody_who_follows(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        made = await nodes.create_node(db, secret=SECRET, name="bern", url="esl://h")
        told = await nodes.set_state(db, made.id, "draining")
        (entry,) = told["tnt_main"]
        assert (entry.type, entry.resource) == ("node.draining", made.id)
        assert msgspec.json.decode(entry.body)["data"]["node"]["state"] == "draining"
        assert await nodes.set_state(db, made.id, "draining") == {}
        assert (await nodes.get_node(db, made.id)).state == "draining"
        with pytest.raises(RequestError):
            await nodes.set_state(db, made.id, "asleep")
        with pytest.raises(NotFound):
            await nodes.set_state(db, "node_none", "active")
        await nodes.draw_fence(db, made.id, owner="ctl-1")
        kinds = [one.type for one in await log.read_entries(db, "tnt_main", resource=made.id)]
        assert kinds == ["node.created", "node.draining", "node.owned"]


async def test_only_the_owner_shows_how_a_switch_is(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        made = await nodes.create_node(db, secret=SECRET, name="wien", url="esl://h")
        fence = await nodes.draw_fence(db, made.id)
        assert await nodes.set_status(db, made.id, fence, {"up": True, "sessions": 50, "max_sessions": 200})
        newer = await nodes.draw_fence(db, made.id)
        assert not await nodes.set_status(db, made.id, fence, {"up": False})
        seen = await nodes.get_node(db, made.id)
        assert seen.status == {"up": True, "sessions": 50, "max_sessions": 200}
        assert seen.status_at.endswith("Z")
        assert nodes.load_of(seen) == 0.25
        assert await nodes.set_status(db, made.id, newer, {"up": True, "calls": 10})
        assert nodes.load_of(await nodes.get_node(db, made.id)) == 0.01


async def test_a_switch_with_live_calls_cannot_be_removed(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        made = await nodes.create_node(db, secret=SECRET, name="prag", url="esl://h")
        fence = await nodes.draw_fence(db, made.id)
        one = call(node=made.id)
        await write_changes(db, node=made.id, fence=fence, changes=[change(one)])
        with pytest.raises(Conflict, match="drain"):
            await nodes.delete_node(db, made.id)
        over = call(*one.legs, node=made.id, state="ended", version=2)
        await write_changes(db, node=made.id, fence=fence, changes=[change(over, "call.ended")])
        await nodes.set_status(db, made.id, fence, {"up": True})
        await nodes.delete_node(db, made.id)
        with pytest.raises(NotFound):
            await nodes.delete_node(db, made.id)


async def test_the_switches_of_the_configuration_are_there_once(database_url: str) -> None:
    async with await Database.open(database_url, max_size=4) as db:
        wanted = [SwitchAddress("s1", "esl://:a@h1"), SwitchAddress("s2", "esl://:b@h2")]
        starts = await asyncio.gather(*(nodes.ensure_nodes(db, wanted, secret=SECRET) for _ in range(3)))
        assert len({node.id for found in starts for node in found}) == 2
        again = await nodes.ensure_nodes(db, [SwitchAddress("s1", "esl://:new@h9")], secret=SECRET)
        assert (again[0].id, again[0].host) == (starts[0][0].id, "h9")
        urls = {node.name: node.url for node in await nodes.all_nodes(db, secret=SECRET)}
        assert (urls["s1"], urls["s2"]) == ("esl://:new@h9", "esl://:b@h2")


def test_keys_for_different_purposes_have_nothing_in_common() -> None:
    assert derive_key(SECRET, "nodes") != derive_key(SECRET, "tokens")
    assert derive_key(SECRET, "nodes") == derive_key(SECRET, "nodes")
    sealed = Sealer(SECRET, "a").seal("hush")
    assert b"hush" not in sealed
    assert Sealer(SECRET, "a").open(sealed) == "hush"
    with pytest.raises(WrongSecret):
        Sealer(SECRET, "b").open(sealed)
    with pytest.raises(WrongSecret):
        Sealer("", "a")


async def test_a_switch_out_of_reach_is_one_incident_and_one_entry_until_it_is_back(
    database_url: str,
) -> None:
    async with await Database.open(database_url) as db:
        node = await nodes.create_node(db, secret="s" * 16, name="reach-1", url="esl://:pw@127.0.0.1:8021")
        assert await nodes.note_reach(db, node.id, up=True) == {}
        told = await nodes.note_reach(db, node.id, up=False, reason="connection refused")
        assert [entry.type for entry in told["tnt_main"]] == ["node.lost"]
        assert await nodes.note_reach(db, node.id, up=False, reason="connection refused") == {}
        told = await nodes.note_reach(db, node.id, up=True)
        assert [entry.type for entry in told["tnt_main"]] == ["node.connected"]
        listed = (await incidents.list_incidents_json(db)).decode()
        assert listed.count("reach-1 is out of reach") == 1 and '"ended_at" : null' not in listed
