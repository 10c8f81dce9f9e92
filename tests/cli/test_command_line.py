"""The command line as a whole, without a server: help, usage, one-line errors, replay."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from api import cli

CAPTURES = Path(__file__).resolve().parents[1] / "data" / "captures"
COMMANDS = [
    ["up"], ["controller"], ["channels"], ["api"], ["simulator"], ["status"], ["top"], ["calls"], ["originate"], ["events"], ["replay"],
    ["freeswitch-config"], ["migrate"], ["doctor"], ["login"], ["logout"], ["nodes"], ["new-password"],
    *(["nodes", verb] for verb in ("list", "add", "drain", "resume", "resync", "probe", "remove")),
    *(
        ["call", "ID", verb]
        for verb in (
            "show", "trace", "answer", "hold", "unhold", "mute", "unmute", "dtmf", "play", "record", "transfer", "bridge",
            "monitor", "hangup",
        )
    ),
]  # fmt: skip
RUNS_FOR_EVER = {"controller", "channels", "api", "simulator", "node"}


@pytest.fixture(autouse=True)
def nobody_is_signed_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("IRISX_API_KEY", "DATABASE_URL", "REDIS_URL", "SWITCHES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IRISX_PROFILE", str(tmp_path / "profile.json"))
    monkeypatch.setenv("IRISX_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("IRISX_STATE_DIR", str(tmp_path / "state"))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*words, "--help"]) == 0
    said = capsys.readouterr().out
    assert "Usage: irisx" in said
    if not RUNS_FOR_EVER & set(words):
        assert "--json" in said


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["calls"], 1, "irisx: not signed in: irisx login, or set IRISX_API_KEY"),
        (["nonsense"], 2, "irisx: No such command 'nonsense'."),
        (["calls", "--limit", "many"], 2, "irisx: Invalid value for '--limit'"),
        (["call", "call_1", "record", "rewind"], 2, "irisx: record start, pause, resume or stop"),
        (["call", "call_1"], 1, "irisx: not signed in"),
        (["call", "call_1", "--json"], 1, "irisx: not signed in"),
        (["call", "call_1", "transfer"], 2, "irisx: say where to, or --complete, or --cancel: one of them"),
        (["call", "call_1", "play"], 2, "irisx: name a file, --tone or --stop: one of them"),
        (
            ["nodes", "add", "x", "esl://:pw@h:8021"],
            2,
            "irisx: a password on the command line is seen by everybody",
        ),
        (["nodes", "add", "x", "http://h"], 2, "irisx: a switch's address looks like esl://HOST:8021"),
        (["controller"], 2, "irisx: DATABASE_URL is not set"),
        (["migrate"], 2, "irisx: DATABASE_URL is not set"),
        (["new-password", "a@b.c"], 2, "irisx: DATABASE_URL is not set, and no irisx up runs on"),
        (["replay", "/nowhere"], 2, "irisx: Invalid value for 'FILE...'"),
        (["freeswitch-config", "/nowhere/at/all"], 2, "irisx: "),
        (["logout"], 1, "irisx: nobody is signed in on this machine"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_failure_is_one_line_and_an_exit_code(
    words: list[str], code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(words) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(line)
    assert said.err.count("\n") == 1


def test_a_wrong_setting_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://user:geheim@host/x")
    assert cli.run(["migrate"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("irisx: DATABASE_URL must be")
    assert "geheim" not in said


def test_nobody_answering_is_one_line_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IRISX_API_KEY", "irx_x_y")
    assert cli.run(["calls"]) == 1
    assert capsys.readouterr().err == (
        "irisx: nothing answers at http://127.0.0.1:9: is it running (irisx up), is IRISX_URL right?\n"
    )


def test_replay_prints_one_json_document_for_each_file(capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(CAPTURES / "bridge.rx.gz"), str(CAPTURES / "originate.rx.gz")]
    assert cli.run(["replay", "--json", *files]) == 0
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["file"] for one in documents] == files
    expected = json.loads((CAPTURES / "bridge.expected.json").read_text())
    assert documents[0]["frames"] == expected["frames"]
    assert cli.run(["replay", files[0]]) == 0
    assert "NORMAL_CLEARING" in capsys.readouterr().out


def test_replay_of_what_is_no_recording_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "x.rx.gz"
    broken.write_bytes(b"not gzip")
    assert cli.run(["replay", str(broken)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"irisx: {broken}: ")
    assert said.count("\n") == 1


def test_a_switch_configuration_is_written_once_and_its_passwords_shown_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "conf"
    words = [
        "freeswitch-config",
        str(target),
        "--name",
        "fs1",
        "--carrier-ip",
        "192.0.2.1",
        "--controllers",
        "192.0.2.0/24",
    ]
    assert cli.run([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["made"]["event_socket_password"]) >= 20
    assert all(Path(file).exists() for file in said["files"])
    assert cli.run(words) == 1
    assert "--force replaces them" in capsys.readouterr().err
    assert cli.run([*words, "--force"]) == 0
    assert "shown this once" in capsys.readouterr().out


def test_a_missing_setting_of_a_switch_is_named_as_the_option_that_sets_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        cli.run(["freeswitch-config", str(tmp_path), "--name", "fs1", "--controllers", "192.0.2.0/24"]) == 2
    )
    assert "--carrier-ip" in capsys.readouterr().err


def test_help_is_quick_because_nothing_heavy_is_imported_for_it() -> None:
    code = "import sys; from api import cli; cli.run(['--help']); print(sorted(m for m in HEAVY if m in sys.modules), file=sys.stderr)"
    code = (
        "HEAVY = ['httpx', 'websockets', 'asyncpg', 'sqlalchemy', 'litestar', 'redis', 'trio', 'boto3']; "
        + code
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr.strip() == "[]"


def test_completion_offers_nothing_and_says_nothing_when_there_is_no_server(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from api.commands.calls import live_ids

    assert live_ids("") == []
    assert capsys.readouterr() == ("", "")


def test_control_characters_of_callers_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    from api.commands.common import show_table

    show_table(["From"], [["bob\x1b[2J\x07"]], empty="")
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "bob" in said
