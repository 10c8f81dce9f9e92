"""Whatever is asked for goes out as exactly one command that means that, or not at all."""

from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from freeswitch import arguments, commands
from freeswitch.errors import CommandError
from tests.freeswitch.switch_parsers import HARD_VALUES, cut, take_braces

VALUES = st.text(
    st.characters(exclude_characters="\r\n\x00", exclude_categories=["Cs"]), min_size=1, max_size=30
).filter(lambda text: "${" not in text and ":_:" not in text and "\t" not in text)


def balanced(text: str) -> bool:
    depth = 0
    for char in text:
        depth += (char == "{") - (char == "}")
        if depth < 0:
            return False
    return depth == 0


# --- whole commands ------------------------------------------------------------------------------------------


def test_a_command_ends_with_an_empty_line() -> None:
    assert commands.api("status") == b"api status\n\n"
    assert commands.auth("a b") == b"auth a b\n\n"
    assert commands.userauth("joe@example.org", "x:y") == b"userauth joe@example.org:x:y\n\n"
    assert commands.bgapi("msleep 5", job_uuid="j-1") == b"bgapi msleep 5\nJob-UUID: j-1\n\n"


def test_a_body_is_counted_in_bytes() -> None:
    assert commands.sendmsg("u-1", {"call-command": "x"}, "ü".encode()) == (
        b"sendmsg u-1\ncall-command: x\ncontent-length: 2\n\n\xc3\xbc"
    )


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\x00b", "\n"])
def test_a_line_break_is_refused_wherever_it_stands(bad: str) -> None:
    for build in (
        lambda: commands.api(bad),
        lambda: commands.auth(bad),
        lambda: commands.userauth("u", bad),
        lambda: commands.command("x", {"A": bad}),
        lambda: commands.command("x", {bad: "A"}),
        lambda: commands.bgapi("x", job_uuid=bad),
        lambda: commands.filter_add("A", bad),
        lambda: commands.subscribe([bad]),
        lambda: commands.myevents(bad),
        lambda: commands.sendmsg(bad, {}),
        lambda: commands.uuid_setvar("u", "v", bad),
        lambda: commands.uuid_setvar("u", bad, "v"),
        lambda: commands.uuid_transfer("u", bad),
        lambda: commands.uuid_record("u", "start", bad),
        lambda: commands.uuid_record("u", "start", "p", variables={"a": bad}),
        lambda: commands.originate("sofia/gateway/g/1", variables={"a": bad}),
        lambda: commands.originate("sofia/gateway/g/1", argument=bad),
        lambda: commands.originate(bad),
        lambda: commands.conference("room", "play", bad),
    ):
        with pytest.raises(CommandError):
            line = build()
            commands.api(line if isinstance(line, str) else "no line break was seen")


@pytest.mark.parametrize(
    "line",
    ["reload mod_event_socket", "originate x UNLOAD-Mod_Event_Socket", "say please reload mod_event_socketx"],
)
def test_text_that_would_reload_the_event_socket_is_refused(line: str) -> None:
    with pytest.raises(CommandError):
        commands.api(line)
    with pytest.raises(CommandError):
        commands.sendmsg("u", {"execute-app-name": "set", "execute-app-arg": line})


def test_a_subscription_names_types_first_and_subclasses_behind_custom() -> None:
    keywords = ["sofia::register", "CHANNEL_ANSWER", "CUSTOM", "HEARTBEAT", "conference::maintenance"]
    assert commands.subscribe(keywords, form="json") == (
        b"event json CHANNEL_ANSWER HEARTBEAT CUSTOM sofia::register conference::maintenance\n\n"
    )
    assert commands.subscribe(["ALL"]) == b"event plain ALL\n\n"


@pytest.mark.parametrize("keywords", [[], ["CUSTOM"], ["CHANNEL_ANSWERED"], ["channel_answer"], ["a b::c"]])
def test_a_subscription_that_the_switch_would_ignore_is_refused(keywords: list[str]) -> None:
    with pytest.raises(CommandError):
        commands.subscribe(keywords)


def test_myevents_always_says_its_format() -> None:
    assert commands.myevents("u-1") == b"myevents u-1 plain\n\n"


def test_an_application_gets_its_argument_where_it_fits() -> None:
    headers, body = commands.execute("playback", "a b.wav", event_uuid="e", lock=True)
    assert (headers["execute-app-arg"], headers["Event-UUID"], headers["event-lock"], body) == (
        "a b.wav",
        "e",
        "true",
        b"",
    )
    for argument in ("two\nlines", " in front", "x" * 2000):
        headers, body = commands.execute("say", argument)
        assert "execute-app-arg" not in headers
        assert body == argument.encode()


def test_hanging_up_needs_a_cause_that_exists() -> None:
    assert commands.hangup("USER_BUSY")["hangup-cause"] == "USER_BUSY"
    with pytest.raises(CommandError):
        commands.hangup("BUSY")
    with pytest.raises(CommandError):
        commands.uuid_kill("u", "BUSY")


# --- lines ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", HARD_VALUES)
def test_hard_values_come_through_originate_and_setvar(value: str) -> None:
    words = cut(commands.originate("loopback/1", variables={"a": value, "b": "2"}).partition(" ")[2], " ", 10)
    assert take_braces(words[0]) == ({"a": value, "b": "2"}, "loopback/1")
    assert cut(commands.uuid_setvar("u-1", "a", value).partition(" ")[2], " ", 3) == ["u-1", "a", value]


@given(st.dictionaries(st.sampled_from("abcdef"), VALUES.filter(balanced), max_size=4))
@example({"a": "\\", "b": "'"})
@example({"a": "', ", "b": " \\'"})
@example({"a": " \\ "})
def test_any_variable_arrives_as_it_was_given(variables: dict[str, str]) -> None:
    line = commands.originate(
        "user/1000", variables=variables, extension="9000", context="public", timeout_s=5
    )
    words = cut(line.removeprefix("originate "), " ", 10)
    assert len(words) == 7
    assert take_braces(words[0]) == (variables, "user/1000")
    assert words[1:] == ["9000", "XML", "public", "undef", "undef", "5"]


@given(VALUES)
def test_any_word_arrives_as_it_was_given(value: str) -> None:
    assert cut(f"a {arguments.word(value)} b", " ", 10) == ["a", value, "b"]


@given(st.dictionaries(st.sampled_from("abc"), VALUES.filter(balanced), min_size=1, max_size=3))
def test_a_recordings_own_variables_arrive_as_they_were_given(variables: dict[str, str]) -> None:
    line = commands.uuid_record("u-1", "start", "/tmp/a b.wav", limit_s=7, variables=variables)
    words = cut(line.removeprefix("uuid_record "), " ", 5)
    assert words[:4] == ["u-1", "start", "/tmp/a b.wav", "7"]
    assert take_braces(unquote(words[4])) == (variables, "")


def test_a_recording_is_named_the_same_in_every_verb() -> None:
    lines = [commands.uuid_record("u", verb, "/x/it's.wav") for verb in ("start", "pause", "stop")]
    assert {line.split(" ", 3)[3] for line in lines} == {"'/x/it\\'s.wav'"}


@pytest.mark.parametrize("value", ["}", "{", "}{", "a}b{c", "{{}"])
def test_braces_without_a_partner_cannot_be_carried_and_are_refused(value: str) -> None:
    with pytest.raises(CommandError):
        commands.originate("user/1", variables={"a": value})


@pytest.mark.parametrize("value", ["${system(reboot)}", "x$${y}", "a:_:b"])
def test_what_the_switch_would_expand_or_split_is_refused(value: str) -> None:
    with pytest.raises(CommandError):
        commands.originate("user/1", variables={"a": value})


@pytest.mark.parametrize("bad", ["", "a b", "a'b", "a\\b", "-a", "a\tb", "a" * 300])
def test_what_is_no_channel_id_is_refused(bad: str) -> None:
    for build in (commands.uuid_answer, commands.uuid_park, commands.uuid_break, commands.uuid_hold):
        with pytest.raises(CommandError):
            build(bad)


def test_a_sip_call_id_is_a_channel_id() -> None:
    assert commands.uuid_answer("1-16465@127.0.0.1") == "uuid_answer 1-16465@127.0.0.1"


@pytest.mark.parametrize(
    "bad", ["", "a b", "1,2", "1|2", "{a=b}1", "[x]1", "<1>", "$1", "'1", "1\\", "a:_:b", "&1"]
)
def test_a_destination_cannot_be_structure_of_a_dial_string(bad: str) -> None:
    with pytest.raises(CommandError):
        arguments.destination(bad)


@pytest.mark.parametrize(
    "good", ["+442071838750", "1000", "*97", "sip:joe@example.org:5070;transport=tcp", "#1"]
)
def test_numbers_and_addresses_are_destinations(good: str) -> None:
    assert arguments.destination(good) == good


def test_the_lines_of_everyday_commands() -> None:
    assert commands.uuid_bridge("a", "b") == "uuid_bridge a b"
    assert commands.uuid_hold("a") == "uuid_hold a"
    assert commands.uuid_hold("a", on=False) == "uuid_hold off a"
    assert commands.uuid_transfer("a", "9000", leg="-both") == "uuid_transfer a -both 9000 XML default"
    assert commands.uuid_setvar("a", "v") == "uuid_setvar a v"
    assert commands.uuid_getvar("a", "sip_h_X-Id") == "uuid_getvar a sip_h_X-Id"
    assert (
        commands.uuid_broadcast("a", "say::hello there", "both") == "uuid_broadcast a 'say::hello there' both"
    )
    assert commands.uuid_break("a") == "uuid_break a all"
    assert commands.uuid_send_dtmf("a", "12#w*", duration_ms=200) == "uuid_send_dtmf a 12#w*@200"
    assert commands.uuid_audio("a", mute=True) == "uuid_audio a start read mute -4"
    assert commands.uuid_audio("a", mute=False) == "uuid_audio a stop"
    assert commands.sched_hangup("a", 60) == "sched_hangup +60 a ALLOTTED_TIMEOUT"
    assert commands.conference("3000", "mute", "5") == "conference 3000 mute 5"
    assert (
        commands.originate("user/1", argument="x y")
        == "originate user/1 '&park(x y)' undef undef undef undef 60"
    )


@pytest.mark.parametrize(
    "build",
    [
        lambda: commands.uuid_send_dtmf("a", "12x"),
        lambda: commands.uuid_send_dtmf("a", ""),
        lambda: commands.uuid_audio("a", mute=True, side="both"),
        lambda: commands.uuid_broadcast("a", "x", "cleg"),
        lambda: commands.uuid_record("a", "begin", "x"),
        lambda: commands.uuid_transfer("a", "1", leg="-cleg"),
        lambda: commands.uuid_setvar("a", "b c", "x"),
        lambda: commands.conference("a b", "list"),
        lambda: commands.originate("user/1", argument="a)b"),
        lambda: commands.originate("user/1 &park"),
        lambda: commands.originate(""),
        lambda: commands.subscribe(["ALL"], form="yaml"),
        lambda: commands.myevents("u", form=""),
        lambda: commands.userauth("a:b", "c"),
        lambda: commands.filter_add("", "x"),
        lambda: commands.command("x", {"a:b": "c"}),
        lambda: commands.command("x", {}, b"a\x00b"),
    ],
)
def test_what_makes_no_sense_is_refused(build: object) -> None:
    with pytest.raises(CommandError):
        build()  # type: ignore[operator]
