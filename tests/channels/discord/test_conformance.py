"""Discord on a bad day: by the gateway, and by interactions alone."""

from typing import Any

from irisx_channels.discord.fake import FakeDiscord
from irisx_sdk import conformance
from irisx_sdk.conformance import webhooks
from irisx_sdk.conformance.scene import open_scene
from irisx_sdk.fake import Delivery


class Forms(FakeDiscord):
    """Nobody holds a connection: people fill in a form of the bot's."""

    def say(self, sender: str, text: str, **more: Any) -> list[Delivery]:
        return self.form(sender, text)


def test_the_channel_conforms() -> None:
    assert conformance.check(FakeDiscord).failed == ()


def test_interactions_conform() -> None:
    with open_scene(Forms, 0, None) as scene:
        webhooks.run(scene)
    report = scene.report()
    assert report.failed == ()
    assert all(check.held for check in report.checks)
