"""A routed message through the whole program: written in the API, sent by the channel host, by the carrier that costs least."""

import asyncio
from pathlib import Path

import pytest

from irisx_sdk.loading import fake_of
from irisx_sdk.testing import running
from tests.core.test_channel_host import ANN, CHANNELS, desk, hosting, settings_of

pytestmark = pytest.mark.asyncio_loop


async def test_a_routed_message_goes_by_the_cheaper_of_two_providers_and_its_answer_comes_back(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with desk(database_url, redis_url) as ours:
        with (
            running(fake_of(CHANNELS["sms.twilio"])()) as twilio,
            running(fake_of(CHANNELS["sms.telnyx"])()) as telnyx,
        ):
            carriers = {}
            for name, fake, price in (("Twilio", twilio, "0.08"), ("Telnyx", telnyx, "0.03")):
                account = await ours.connect(fake)
                made = await ours.ask("POST", "/carriers", {"name": name, "channel_ids": [account]})
                carriers[name] = made["id"]
                deck = {
                    "carrier_id": made["id"],
                    "name": name,
                    "currency": "EUR",
                    "csv": f"prefix,price\n*,{price}\n",
                }
                await ours.ask("POST", "/rate-decks", deck)
            await ours.ask("PUT", "/routing/settings", {"explore": 0.0})
            with hosting(settings_of(database_url, redis_url, tmp_path)):
                body = {"to": {"kind": "phone", "value": ANN}, "text": "Your parcel is here", "route": "sms"}
                sent = await ours.ask("POST", "/messages", body)
                await ours.becomes(sent["id"], "delivered")
                assert [one.text for one in telnyx.sent] == ["Your parcel is here"] and not twilio.sent
                (decision,) = (await ours.ask("GET", "/routing/decisions"))["data"]
                assert decision["carrier_id"] == carriers["Telnyx"] and decision["message_id"] == sent["id"]
                assert [one["carrier_id"] for one in decision["candidates"]] == [
                    carriers["Telnyx"],
                    carriers["Twilio"],
                ]
                health = await ours.ask("GET", f"/carriers/{carriers['Telnyx']}/health")
                assert (health["sent"], health["delivered"], health["success_share"]) == (1, 1, 1.0)
                assert health["spend"] == "0.03"
                tested = await ours.ask("POST", f"/carriers/{carriers['Twilio']}/test", {"to": ANN})
                await ours.becomes(tested["id"], "delivered")
                assert [one.text for one in twilio.sent] == ["Test"]
            await asyncio.to_thread(telnyx.do, telnyx.write, ANN, "thanks")
            listed = (await ours.ask("GET", f"/conversations/{sent['conversation_id']}/messages"))["data"]
            assert [one["text"] for one in listed] == ["thanks", "Your parcel is here"]
