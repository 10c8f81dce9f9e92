"""The conformance kit: a channel against its fake provider on a bad day.

``irisx plugin check NAME`` runs it and prints what holds; in a test::

    def test_the_channel_conforms() -> None:
        assert conformance.check(MyFake).failed == ()

Its parts: `webhooks` (reading, signatures, poison), `sending` (what arrives), `trouble` (what happened, and what the
channel says that happened) and `listening` (connections that are held).
"""

from collections.abc import Callable

from irisx_sdk.conformance import listening, sending, webhooks
from irisx_sdk.conformance.report import Check, Report
from irisx_sdk.conformance.scene import open_scene
from irisx_sdk.fake import Fake

__all__ = ["Check", "Report", "check"]


def check(make: Callable[..., Fake], *, seed: int = 0, told: Callable[[Check], None] | None = None) -> Report:
    """Run every check on the channel of ``make`` (a `Fake` class) and tell each at once, if somebody listens.

    Blocks for some seconds; not to be called from a running event loop. The same ``seed`` gives the same faults. A
    channel or fake that raises something unexpected fails the check, not the kit.
    """
    with open_scene(make, seed, told) as scene:
        webhooks.run(scene)
        sending.run(scene)
        listening.run(scene)
        scene.tell_secrets()
    return scene.report()
