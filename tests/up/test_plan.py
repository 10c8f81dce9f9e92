"""What is started for which settings."""

import socket
from pathlib import Path

import msgspec
import pytest

from api.up import plan
from api.up.parts import PartFailed, Program
from api.up.plan import Choices
from api.up.ports import free_port
from api.up.statedir import StateDir
from core.config import Settings, SwitchAddress


def made(tmp_path: Path, given: Settings, **choices: object) -> plan.Plan:
    state = StateDir(tmp_path / "state")
    state.take()
    try:
        chosen = msgspec.convert({"listen": f"127.0.0.1:{free_port()}", **choices}, Choices)
        return plan.make(given, chosen, state)
    finally:
        state.release()


def names(chosen: plan.Plan) -> list[str]:
    return [step.name for step in chosen.steps]


def test_with_nothing_given_everything_is_embedded(tmp_path: Path) -> None:
    chosen = made(tmp_path, Settings())
    assert names(chosen) == [
        "postgres",
        "valkey",
        "simulator",
        "database",
        "controller-1",
        "controller-2",
        "channels",
        "node",
        "api",
        "fakes",
    ]
    assert chosen.settings.switches[0].name == "simulator"


def test_every_part_that_is_given_is_not_started(tmp_path: Path) -> None:
    given = Settings(
        database_url="postgresql://irisx@db/irisx",
        redis_url="redis://cache",
        s3_endpoint="http://objects",
        s3_bucket="b",
        switches=(SwitchAddress("fs1", "esl://:x@192.0.2.1:8021"),),
        secret="x" * 40,
    )
    chosen = made(tmp_path, given, controllers=1)
    assert names(chosen) == ["database", "controller-1", "channels", "api"]
    assert chosen.settings.database_url == given.database_url
    assert chosen.settings.switches == given.switches


def test_fake_providers_play_beside_real_parts_only_when_asked_and_not_when_unwanted(tmp_path: Path) -> None:
    real = Settings(database_url="postgresql://irisx@db/irisx", redis_url="redis://cache")
    assert "fakes" in names(made(tmp_path, real, fakes=True))
    assert "fakes" not in names(made(tmp_path, real))
    assert "fakes" not in names(made(tmp_path, Settings(), fakes=False))
    assert "fakes" not in names(made(tmp_path, Settings(public_url="https://irisx.example")))
    assert made(
        tmp_path, Settings(public_url="https://irisx.example"), fakes=True
    ).settings.reaches_this_machine


def test_the_fake_providers_are_where_they_were(tmp_path: Path) -> None:
    first = made(tmp_path, Settings()).fakes
    taken = int(first["telegram"].rpartition(":")[2])
    with socket.create_server(("127.0.0.1", taken)):
        second = made(tmp_path, Settings()).fakes
    assert second.pop("telegram") != first.pop("telegram")
    assert second == first
    assert len(set(first.values())) == 6


def test_no_simulator_means_none(tmp_path: Path) -> None:
    assert "simulator" not in names(made(tmp_path, Settings(), simulator=False))


def test_no_secret_stands_on_a_command_line(tmp_path: Path) -> None:
    chosen = made(tmp_path, Settings())
    password = chosen.settings.switches[0].url.partition("@")[0].rpartition(":")[2]
    words = [word for step in chosen.steps if isinstance(step, Program) for word in step._argv]
    assert len(password) >= 12
    assert not any(password in word or chosen.settings.secret in word for word in words)


def test_the_simulated_switch_keeps_port_password_and_the_installation_its_secret(tmp_path: Path) -> None:
    first, second = made(tmp_path, Settings()), made(tmp_path, Settings())
    assert first.settings.switches == second.settings.switches
    assert first.settings.secret == second.settings.secret != ""


def test_a_port_in_use_is_explained(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(
            PartFailed,
            match=rf"port {port} is used by .* \(process \d+\); stop it, or choose another with --port",
        ):
            made(tmp_path, Settings(), listen=f"127.0.0.1:{port}")


def test_the_address_in_the_box_can_be_opened() -> None:
    assert plan.browser_address(Settings(listen="0.0.0.0:80")) == "http://127.0.0.1:80"
    assert plan.browser_address(Settings(listen="[::1]:80")) == "http://[::1]:80"
    assert plan.browser_address(Settings(public_url="https://irisx.example")) == "https://irisx.example"
