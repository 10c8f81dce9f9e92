"""Route plans through the API: a draft, tried out, published, taken back; one of a kind in force."""

import pytest

from tests.api.conftest import Connect
from tests.api.test_carriers import Shop, shop

pytestmark = pytest.mark.asyncio_loop


async def asked(ours: Shop, **more: object) -> list[str]:
    """Who would be asked, in order."""
    found = await ours.ask("POST", "/routing/simulate", {"to": "+4930123456", "text": "hi", **more})
    return [one["carrier_id"] for one in found["order"]]


async def test_a_plan_is_tried_out_as_a_draft_published_changed_and_rolled_back(connect: Connect) -> None:
    async with connect() as api:
        ours = await shop(api)
        dear = await ours.carrier("Dear", "prefix,price\n*,0.09\n")
        cheap = await ours.carrier("Cheap", "prefix,price\n*,0.01\n")
        steps = [{"do": "prefer", "carriers": [dear], "prefixes": ["49"], "note": "a contract"}]
        plan = await ours.ask("POST", "/routing/plans", {"name": "Contracts", "steps": steps}, 201)
        assert (plan["live"], plan["versions"], plan["steps"]) == (0, 0, steps)
        where = f"/routing/plans/{plan['id']}"
        # A draft holds for nobody but who asks for it.
        assert await asked(ours) == [cheap, dear]
        assert await asked(ours, plan_id=plan["id"]) == [dear, cheap]

        live = await ours.ask("POST", f"{where}/publish", None, 200, **{"If-Match": f'"{plan["version"]}"'})
        assert (live["live"], live["versions"]) == (1, 1)
        assert await asked(ours) == [dear, cheap]
        await ours.ask("POST", f"{where}/publish", None, 412, **{"If-Match": f'"{plan["version"]}"'})

        only = [{"do": "only", "carriers": [cheap]}]
        await ours.ask("PATCH", where, {"steps": only})
        assert await asked(ours) == [dear, cheap], "what is in force stays until it is published"
        await ours.ask("POST", f"{where}/publish")
        found = await ours.ask("POST", "/routing/simulate", {"to": "+4930123456", "text": "hi"})
        assert [one["carrier_id"] for one in found["order"]] == [cheap]
        assert {one["carrier_id"]: one["skipped"] for one in found["skipped"]} == {dear: "plan"}

        back = await ours.ask("POST", f"{where}/rollback", {})
        assert (back["live"], back["versions"], back["steps"]) == (1, 2, only)
        assert await asked(ours) == [dear, cheap]
        refused = await ours.ask("POST", f"{where}/rollback", {"to": 7}, 409)
        assert refused["code"] == "no_such_version"
        versions = await ours.ask("GET", f"{where}/versions")
        assert [(one["number"], one["live"], one["steps"]) for one in versions] == [
            (2, False, only),
            (1, True, steps),
        ]

        other = await ours.ask("POST", "/routing/plans", {"name": "Other", "steps": []})
        await ours.ask("POST", f"/routing/plans/{other['id']}/publish")
        listed = (await ours.ask("GET", "/routing/plans"))["data"]
        assert [(one["name"], one["live"]) for one in listed] == [("Other", 1), ("Contracts", 0)]
        assert await asked(ours) == [cheap, dear], "one plan of a kind is in force"
        await ours.ask("DELETE", f"/routing/plans/{other['id']}")
        await ours.ask("GET", f"/routing/plans/{other['id']}", None, 404)


async def test_a_plan_names_carriers_that_are_there_and_of_its_kind(connect: Connect) -> None:
    async with connect() as api:
        ours, theirs = await shop(api), await shop(api)
        foreign = await theirs.carrier("Theirs", "prefix,price\n*,0.01\n")
        voice = (await ours.ask("POST", "/carriers", {"name": "Calls", "kind": "voice"}))["id"]
        for carrier in (foreign, voice, "car_0nobody"):
            steps = [{"do": "never", "carriers": [carrier]}]
            refused = await ours.ask("POST", "/routing/plans", {"name": "P", "steps": steps}, 400)
            assert refused["code"] == "no_such_carrier"
        for wrong in (
            {"do": "maybe", "carriers": [voice]},
            {"do": "only", "carriers": []},
            {"do": "only", "carriers": ["x"]},
        ):
            await ours.ask("POST", "/routing/plans", {"name": "P", "steps": [wrong]}, 400)
        plan = await ours.ask("POST", "/routing/plans", {"name": "P", "kind": "voice"}, 201)
        await ours.ask("POST", "/routing/simulate", {"to": "+4930123456", "plan_id": plan["id"]}, 400)
        await theirs.ask("POST", "/routing/simulate", {"to": "+4930123456", "plan_id": plan["id"]}, 404)
