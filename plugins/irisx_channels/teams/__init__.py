"""Microsoft Teams, by the Bot Framework's protocol. See README.md."""

from irisx_channels.teams.client import Teams

CHANNELS = (Teams(),)

__all__ = ["CHANNELS", "Teams"]
