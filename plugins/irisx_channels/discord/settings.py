"""What an account of Discord needs to be told."""

from typing import Annotated

from msgspec import Meta, Struct

from irisx_sdk.channel import secret

API = "https://discord.com/api/v10"
GUILDS, GUILD_MESSAGES, GUILD_REACTIONS = 1 << 0, 1 << 9, 1 << 10
DIRECT_MESSAGES, DIRECT_REACTIONS, MESSAGE_CONTENT = 1 << 12, 1 << 13, 1 << 15
INTENTS = GUILDS | GUILD_MESSAGES | GUILD_REACTIONS | DIRECT_MESSAGES | DIRECT_REACTIONS | MESSAGE_CONTENT


class Settings(Struct, frozen=True, kw_only=True):
    """What an application's pages at discord.com/developers say about it."""

    bot_token: Annotated[str, secret("The bot's token, from “Bot”")]
    public_key: Annotated[str, Meta(description="From “General Information”; needed for requests to us")] = ""
    command_reply: Annotated[str, Meta(description="What the sender of a command sees at once")] = (
        "Thank you, we have your message."
    )
    intents: Annotated[
        int, Meta(description="What the gateway tells; without message content: 13825", ge=0)
    ] = INTENTS
    shards: Annotated[
        int, Meta(description="Connections to the gateway; 0 for as many as Discord says", ge=0, le=64)
    ] = 0
    base_url: Annotated[str, Meta(description="Where the API is; another only for tests")] = API
