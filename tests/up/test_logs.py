"""The children's logs: read behind the writers, shown as words, kept small."""

from pathlib import Path

import pytest
import trio

from api.up import logs
from api.up.logs import Line, Tail, read_line
from api.up.parts import last_words


def test_our_json_lines_become_words() -> None:
    raw = '{"room":"owner","node":"node_1","event":"took the switch","level":"info","timestamp":"x","process":"controller"}'
    assert read_line(raw) == Line("info", "took the switch  room=owner node=node_1")


def test_a_traceback_in_a_json_line_is_shown_under_it() -> None:
    line = read_line('{"event":"it broke","level":"error","exception":"Traceback\\nValueError: 1"}')
    assert line == Line("error", "it broke\nTraceback\nValueError: 1")


@pytest.mark.parametrize("raw", ["FATAL:  could not open file", "Traceback (most recent call last):"])
def test_other_programs_trouble_is_recognized(raw: str) -> None:
    assert read_line(raw).level == "error"


def test_a_line_that_only_looks_like_json_stays_as_it_is() -> None:
    assert read_line("{broken") == Line("info", "{broken")


def test_a_tail_shows_only_what_is_new_and_only_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("old\n")
    tail = Tail("x", log)
    assert list(tail.fresh()) == []
    with log.open("a") as out:
        out.write("one\ntw")
        out.flush()
        assert [line.text for line in tail.fresh()] == ["one"]
        out.write("o\n")
    assert [line.text for line in tail.fresh()] == ["two"]


def test_a_flood_is_passed_over_and_said(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.touch()
    tail = Tail("x", log)
    log.write_text("".join(f"line {n}\n" for n in range(60_000)))
    shown = list(tail.fresh())
    assert "KiB at once" in shown[0].text
    assert shown[-1].text == "line 59999"
    assert len(shown) < 40_000


def test_a_large_log_is_set_aside_while_its_writer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LIMIT", 100)
    log = tmp_path / "x.log"
    tail = Tail("x", log)
    with log.open("ab", buffering=0) as writer:
        for round_ in range(5):
            writer.write(b"%d" % round_ * 120 + b"\n")
            assert tail.rotate()
        writer.write(b"after\n")
    assert [line.text for line in tail.fresh()] == ["after"]
    assert log.read_bytes() == b"after\n"
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["x.log", "x.log.1", "x.log.2", "x.log.3"]
    assert (tmp_path / "x.log.1").read_bytes().startswith(b"444")


async def test_following_shows_what_is_worth_it(tmp_path: Path, nursery: trio.Nursery) -> None:
    log = tmp_path / "x.log"
    log.touch()
    shown: list[str] = []
    nursery.start_soon(
        lambda: logs.follow(
            [Tail("x", log)], lambda name, line: shown.append(f"{name} {line.text}"), level="warning"
        )
    )
    log.write_text('{"event":"fine","level":"info"}\n{"event":"careful","level":"warning"}\n')
    with trio.fail_after(5):
        while not shown:
            await trio.sleep(0.01)
    assert shown == ["x careful"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "(it printed nothing)"),
        ("one\ntwo\nthree\nfour\n", "two | three | four"),
        (
            '  File "a.py", line 1\nTraceback (most recent call last):\n  x\nValueError: no\n',
            "ValueError: no",
        ),
        (
            "  + Exception Group Traceback (most recent call last):\n    | ModuleNotFoundError: No module\n    +----\n",
            "ModuleNotFoundError: No module",
        ),
        ('{"event":"gone","level":"error"}\n', "gone"),
    ],
)
def test_the_last_words_of_a_log_are_one_line(tmp_path: Path, text: str, words: str) -> None:
    log = tmp_path / "x.log"
    log.write_text(text)
    assert last_words(log) == words
    assert last_words(tmp_path / "none") == "(no log)"
