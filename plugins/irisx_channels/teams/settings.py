"""What an account of Teams is told, and which hosts it trusts. Pure."""

from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from irisx_sdk import secret

SERVICE = "https://smba.trafficmanager.net/teams"
LOGIN = "https://login.microsoftonline.com"
METADATA = "https://login.botframework.com/v1/.well-known/openidconfiguration"
ISSUER = "https://api.botframework.com"

SERVICE_HOSTS = ("smba.trafficmanager.net", "botframework.com", "teams.microsoft.com", "teams.microsoft.us")
"""Where the bot's token may go: Teams' services, those of the government clouds among them, and hosts below."""
KEY_HOSTS = ("botframework.com", "botframework.azure.us", "botframework.us")


class TeamsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bot registered with Microsoft; or only an outgoing webhook of a team, which nobody can answer later."""

    app_id: Annotated[str, Meta(description="The bot's application id")] = ""
    app_secret: Annotated[str, secret("A client secret of the application")] = ""
    tenant_id: Annotated[str, Meta(description="The directory (tenant) of a single-tenant bot")] = (
        "botframework.com"
    )
    outgoing_token: Annotated[str, secret("The security token that Teams showed for an outgoing webhook")] = (
        ""
    )
    outgoing_answer: Annotated[str, Meta(description="What an outgoing webhook answers at once")] = (
        "Thank you."
    )
    base_url: Annotated[str, Meta(description="The service for people who never wrote")] = SERVICE
    login_url: Annotated[str, Meta(description="Where tokens are given")] = LOGIN
    metadata_url: Annotated[str, Meta(description="Where the keys of Teams' own tokens are told")] = METADATA
    issuer: Annotated[str, Meta(description="Who makes Teams' own tokens, and whom ours are for")] = ISSUER


def trusted(settings: TeamsSettings, url: str) -> bool:
    """Whether the bot's token may be sent to this address."""
    return _below(url, SERVICE_HOSTS) or _origin(url) == _origin(settings.base_url)


def trusted_keys(settings: TeamsSettings, url: str) -> bool:
    """Whether keys from this address may decide who is Teams."""
    return _below(url, KEY_HOSTS) or _origin(url) == _origin(settings.metadata_url)


def _below(url: str, hosts: tuple[str, ...]) -> bool:
    scheme, host = _origin(url)
    name = host.rpartition("@")[2].partition(":")[0]
    return scheme == "https" and any(name == one or name.endswith("." + one) for one in hosts)


def _origin(url: str) -> tuple[str, str]:
    try:
        found = urlsplit(url)
    except ValueError:
        return "", ""
    return found.scheme.lower(), found.netloc.lower()
