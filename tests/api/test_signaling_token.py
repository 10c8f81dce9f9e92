"""The way of an agent's browser to a controller: who gets a token, and what comes with it."""

import base64
import hashlib
import hmac
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.http.signaling import connect_sources
from core.access.tokens import Keyring
from core.clock import now_us
from core.config import ConfigError, Settings
from core.errors import NotAuthenticated
from core.ids import new_id
from tests.api.harness import SECRET, Api, serving

pytestmark = pytest.mark.asyncio_loop

TURN: dict[str, Any] = {
    "turn_urls": ("turn:relay.example:3478",),
    "turn_secret": "shared",
    "stun_urls": ("stun:relay.example:3478",),
}


async def make_agent(api: Api, user_id: str, tenant_id: str = "tnt_main") -> str:
    agent_id = new_id("agt")
    async with api.database.tenant(tenant_id) as connection:
        await connection.execute(
            "insert into agents (tenant_id, id, user_id, name, since_us, capacity, created_us, updated_us)"
            " values ($1, $2, $3, 'Ann', 1, '{}', 1, 1)",
            tenant_id,
            agent_id,
            user_id,
        )
    return agent_id


async def test_an_agent_gets_a_token_addresses_and_ice_servers(database_url: str, redis_url: str) -> None:
    async with serving(database_url, redis_url, **TURN) as api:
        person = await api.person("agent")
        refused = await api.ask("POST", "/v1/auth/tokens/signaling", person.token)
        assert (refused.status_code, refused.json()["code"]) == (409, "no_agent")

        agent_id = await make_agent(api, person.id)
        alone = await api.ask("POST", "/v1/auth/tokens/signaling", person.token)
        assert (alone.status_code, alone.json()["code"]) == (503, "no_signaling")

        for name, url in (
            ("ctl-1", "ws://127.0.0.1:1/v1/signaling"),
            ("ctl-2", ""),
            ("ctl-3", "ws://127.0.0.1:3/v1/signaling"),
        ):
            said = {"name": name, "signaling": url, "signaling_numbers": {"sessions": 7}}
            await api.bus.present(name, msgspec.json.encode(said))
        answer = await api.ask("POST", "/v1/auth/tokens/signaling", person.token)
        assert answer.status_code == 201
        body = answer.json()
        assert sorted(body["urls"]) == ["ws://127.0.0.1:1/v1/signaling", "ws://127.0.0.1:3/v1/signaling"]
        claims = Keyring(SECRET).verify("signaling", body["token"])
        assert (claims.subject, claims.acts_in) == (person.id, "tnt_main")
        assert 0 < claims.expires_at - now_us() / 1e6 <= 60
        with pytest.raises(NotAuthenticated):  # it opens a socket, and nothing else
            Keyring(SECRET).verify("api", body["token"])

        stun, turn = body["ice_servers"]
        assert stun == {"urls": ["stun:relay.example:3478"]}
        until, _, who = turn["username"].partition(":")
        assert who == agent_id and int(until) > now_us() / 1e6 + 3600
        mac = hmac.new(b"shared", turn["username"].encode(), hashlib.sha1).digest()
        assert turn["credential"] == base64.b64encode(mac).decode()

        key = await api.operator_key()
        text = (await api.ask("GET", "/v1/metrics", key)).text
        assert 'irisx_signaling_sessions{controller="ctl-1"} 7.0' in text
        assert (await api.ask("POST", "/v1/auth/tokens/signaling", key)).status_code == 400  # no person


def test_pages_may_connect_to_controllers_and_nowhere_else(tmp_path: Path) -> None:
    assert connect_sources(Settings(signaling="127.0.0.1:0")) == ("ws://127.0.0.1:*",)
    assert connect_sources(Settings(signaling="[::1]:7000")) == ("ws://[::1]:*",)
    public = "wss://a.example/v1/signaling wss://b.example:444/v1/signaling"
    assert connect_sources(Settings(signaling="0.0.0.0:7000", signaling_url=public)) == (
        "wss://a.example",
        "wss://b.example:444",
    )
    assert connect_sources(Settings()) == ()


def test_settings_of_signaling_survive_their_way_to_other_processes() -> None:
    env = {
        "IRISX_SIGNALING": "127.0.0.1:0",
        "IRISX_SIGNALING_URL": "wss://desk.example/v1/signaling",
        "IRISX_STUN_URLS": "stun:a:1",
        "IRISX_TURN_URLS": "turn:a:1?transport=udp, turns:a:2",
        "IRISX_TURN_SECRET": "shared",
    }
    settings = Settings.from_env(env)
    assert settings.signaling_address() == ("127.0.0.1", 0)
    assert settings.turn_urls == ("turn:a:1?transport=udp", "turns:a:2")
    assert Settings.from_env(settings.environment()) == settings
    assert "shared" not in repr(settings)
    for bad in (
        {"IRISX_SIGNALING": "here"},
        {"IRISX_SIGNALING_URL": "https://desk.example"},
        {"IRISX_STUN_URLS": "turn:a"},
        {"IRISX_TURN_URLS": "turn:a"},
    ):
        with pytest.raises(ConfigError):
            Settings.from_env(bad)
