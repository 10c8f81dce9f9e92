from irisx_bulletin.fake import FakeBulletin

from irisx_sdk import conformance


def test_bulletin_is_a_channel_on_a_bad_day() -> None:
    assert conformance.check(FakeBulletin).failed == ()
