"""Connected accounts: sealed, shown without their secrets, and each its tenant's."""

import pytest

from core.errors import Conflict, NotFound, RequestError
from core.ids import new_id
from core.storage import channels
from core.storage.database import Database
from core.storage.sealing import WrongSecret

pytestmark = pytest.mark.asyncio_loop

SETTINGS = {"account": "AC1", "token": "hush", "base_url": "https://api.example"}


async def made(db: Database, tenant: str, name: str = "Main line") -> channels.ChannelRow:
    return await channels.create_channel(
        db, tenant, secret="s1", type="sms.twilio", name=name, settings=SETTINGS, hidden={"token"}
    )


async def test_what_is_secret_is_shown_to_nobody_and_known_to_the_platform(database_url: str) -> None:
    tenant = new_id("tnt")
    async with await Database.open(database_url) as db:
        account = await made(db, tenant)
        assert account.settings == {"account": "AC1", "base_url": "https://api.example"}
        assert await channels.get_channel(db, tenant, account.id) == account
        whole = await channels.open_channel(db, account.id, secret="s1")
        assert whole is not None and whole.settings == SETTINGS
        assert SETTINGS in [one.settings for one in await channels.all_channels(db, secret="s1")]
        async with db.reader(tenant) as connection:
            row = await connection.fetchrow("select channels::text as all from channels")
        assert "hush" not in row["all"]
        with pytest.raises(WrongSecret):
            await channels.open_channel(db, account.id, secret="other")


async def test_a_change_names_what_it_was_made_from(database_url: str) -> None:
    tenant = new_id("tnt")
    async with await Database.open(database_url) as db:
        account = await made(db, tenant)
        changed = await channels.update_channel(
            db,
            tenant,
            account.id,
            secret="s1",
            hidden={"token"},
            version=1,
            settings={**SETTINGS, "token": "new"},
        )
        assert changed.version == 2 and "token" not in changed.settings
        with pytest.raises(Conflict, match="changed since"):
            await channels.update_channel(db, tenant, account.id, version=1, name="x")
        with pytest.raises(RequestError):
            await channels.update_channel(db, tenant, account.id, state="asleep")
        whole = await channels.open_channel(db, account.id, secret="s1")
        assert whole is not None and whole.settings["token"] == "new"


async def test_another_tenants_account_does_not_exist(database_url: str) -> None:
    tenant, other = new_id("tnt"), new_id("tnt")
    async with await Database.open(database_url) as db:
        account = await made(db, tenant)
        for attempt in (
            channels.get_channel(db, other, account.id),
            channels.update_channel(db, other, account.id, name="mine"),
            channels.delete_channel(db, other, account.id),
        ):
            with pytest.raises(NotFound):
                await attempt


async def test_a_deleted_account_is_gone_with_its_secret(database_url: str) -> None:
    tenant = new_id("tnt")
    async with await Database.open(database_url) as db:
        account = await made(db, tenant)
        await channels.delete_channel(db, tenant, account.id)
        assert await channels.open_channel(db, account.id, secret="s1") is None
        with pytest.raises(NotFound):
            await channels.get_channel(db, tenant, account.id)
        async with db.reader(tenant) as connection:
            assert await connection.fetchval("select secret from channels") == b""


async def test_a_connection_goes_on_where_it_was(database_url: str) -> None:
    tenant = new_id("tnt")
    async with await Database.open(database_url) as db:
        assert await channels.load_place(db, tenant, "chn_1") == b""
        for place in (b"17", b"18"):
            await channels.save_place(db, tenant, "chn_1", place)
        assert await channels.load_place(db, tenant, "chn_1") == b"18"
        assert await channels.load_place(db, new_id("tnt"), "chn_1") == b""
