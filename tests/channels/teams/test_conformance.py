"""Teams on a bad day."""

from irisx_channels.teams.fake import FakeTeams
from irisx_sdk import conformance


def test_teams_conforms() -> None:
    assert conformance.check(FakeTeams).failed == ()
