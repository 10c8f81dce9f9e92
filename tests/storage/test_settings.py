"""What a process is told, and what it lets others know of it."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.config import ConfigError, Settings, SwitchAddress, hide_password, load_secret, parse_switches

FULL = {
    "DATABASE_URL": "postgresql://irisx:pg-hush@db.example:5432/irisx?sslmode=require",
    "REDIS_URL": "rediss://:redis-hush@cache.example:6380/0",
    "S3_ENDPOINT": "https://s3.example",
    "S3_BUCKET": "calls",
    "S3_ACCESS_KEY": "s3-access-hush",
    "S3_SECRET_KEY": "s3-hush",
    "S3_REGION": "eu-central-1",
    "SWITCHES": "berlin=esl://:esl-hush@10.0.0.5:8021, esl://admin:esl-hush@fs2.example",
    "IRISX_STATE_DIR": "/var/lib/irisx",
    "IRISX_SECRET": "the-hush-of-the-installation",
    "IRISX_LISTEN": "[::]:8443",
    "IRISX_PUBLIC_URL": "https://irisx.example/",
    "IRISX_LOG_LEVEL": "debug",
    "IRISX_LOG_FORMAT": "json",
    "IRISX_EVENTS_DAYS": "30",
}


def test_nothing_said_is_a_laptop() -> None:
    settings = Settings.from_env({})
    assert settings == Settings()
    assert settings.listen_address() == ("127.0.0.1", 8080)
    assert settings.blobs_folder() == Path("var/blobs")
    assert settings.events_days == 7


def test_everything_said_is_understood_and_can_be_handed_on() -> None:
    settings = Settings.from_env(FULL)
    assert settings.listen_address() == ("::", 8443)
    assert settings.public_url == "https://irisx.example"
    assert [(switch.name, switch.url) for switch in settings.switches] == [
        ("berlin", "esl://:esl-hush@10.0.0.5:8021"),
        ("fs2.example", "esl://admin:esl-hush@fs2.example"),
    ]
    assert Settings.from_env(settings.environment()) == settings


def test_what_is_shown_of_settings_holds_no_secret() -> None:
    shown = repr(Settings.from_env(FULL))
    assert "hush" not in shown
    for word in ("db.example", "cache.example", "10.0.0.5", "eu-central-1"):
        assert word in shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("", ""),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("postgresql://u:p%40ss@h/db", "postgresql://u:***@h/db"),
        ("postgresql:///db?host=/run&password=hush", "postgresql:///db?***"),
        ("esl://:x@h", "esl://:***@h"),
        ("esl://u:@h", "esl://u:***@h"),
        ("http://[::1", "***"),
    ],
)
def test_addresses_are_shown_without_passwords(url: str, shown: str) -> None:
    assert hide_password(url) == shown


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "mysql://h/db"),
        ("DATABASE_URL", "postgresql://"),
        ("DATABASE_URL", "postgresql://h:hush/db"),
        ("REDIS_URL", "localhost:6379"),
        ("S3_ENDPOINT", "s3.example"),
        ("SWITCHES", "fs.example"),
        ("SWITCHES", "http://fs.example"),
        ("SWITCHES", "a=esl://h a=esl://h2"),
        ("IRISX_LISTEN", "8080"),
        ("IRISX_LISTEN", "host:99999"),
        ("IRISX_SECRET", "short"),
        ("IRISX_SECRET", "long enough a secret,hush"),
        ("IRISX_LOG_LEVEL", "loud"),
        ("IRISX_LOG_FORMAT", "xml"),
        ("IRISX_EVENTS_DAYS", "3"),
        ("IRISX_EVENTS_DAYS", "-1"),
        ("IRISX_PUBLIC_URL", "irisx.example"),
    ],
)
def test_a_wrong_variable_is_named_and_not_repeated(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=variable) as refused:
        Settings.from_env({variable: value})
    assert "hush" not in str(refused.value)


def test_half_of_a_pair_is_refused() -> None:
    with pytest.raises(ConfigError, match="S3_BUCKET"):
        Settings.from_env({"S3_ENDPOINT": "http://h"})
    with pytest.raises(ConfigError, match="S3_SECRET_KEY"):
        Settings.from_env({"S3_ENDPOINT": "http://h", "S3_BUCKET": "b", "S3_ACCESS_KEY": "k"})


def test_switches_without_a_name_take_their_hosts() -> None:
    assert parse_switches("esl://h esl://h:8022 x=esl://h:8023") == (
        SwitchAddress("h", "esl://h"),
        SwitchAddress("h:8022", "esl://h:8022"),
        SwitchAddress("x", "esl://h:8023"),
    )


def test_an_installation_without_a_secret_makes_one_and_keeps_it(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(load_secret, [state_dir] * 8))
    assert len(secrets) == 1
    assert len(secrets.pop()) > 40
    assert stat.S_IMODE((state_dir / "secret").stat().st_mode) == 0o600
    assert [path.name for path in state_dir.iterdir()] == ["secret"]


def test_a_secret_that_others_may_read_is_none(tmp_path: Path) -> None:
    load_secret(tmp_path)
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_secret(tmp_path)
