"""WhatsApp on a bad day of its provider."""

from irisx_channels.whatsapp.fake import FakeWhatsApp
from irisx_sdk import conformance


def test_whatsapp_conforms() -> None:
    assert conformance.check(FakeWhatsApp).failed == ()
