"""What callers may put into a command: accepted as it is, or refused with the field's name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import RequestError
from core.telephony import values

TEMPLATE = "sofia/gateway/trunk/{number}"
FOLDERS = ("/var/sounds", "/var/recordings/tnt_main", "")


@pytest.mark.parametrize("good", ["1", "0123456789", "*#", "AbCd", "1w2W3", "5" * 64])
def test_keys_that_a_telephone_has(good: str) -> None:
    assert values.digits(good) == good


@pytest.mark.parametrize("bad", ["", "1 2", "x", "1@500", "1\n", "5" * 65, None, 1, True, "１"])
def test_keys_that_no_telephone_has(bad: object) -> None:
    _refused("digits", values.digits, bad)


@pytest.mark.parametrize("good", ["+14155550100", "100", "*97#", "0", "+" + "1" * 32])
def test_numbers(good: str) -> None:
    assert values.number(good) == good
    assert values.is_number(good)
    assert values.dial_string(good, TEMPLATE) == f"sofia/gateway/trunk/{good}"


@pytest.mark.parametrize(
    "bad", ["", "+", "1 2", "1,2", "1@x", "sip:1", "1|2", "1^2", "(1)", "1" * 33, "1\n", "++1", None, 5]
)
def test_what_is_no_number(bad: object) -> None:
    _refused("from", values.number, bad)
    with pytest.raises(RequestError, match=r"^to: "):
        values.dial_string(bad, TEMPLATE)


def test_registered_telephones_are_dialled_by_name() -> None:
    assert values.dial_string("user:alice", TEMPLATE) == "user/alice"
    assert values.dial_string("user:alice@sip.example.org", TEMPLATE) == "user/alice@sip.example.org"
    for bad in ("user:", "user:a b", "user:a,b", "user:{x=y}a", "user:a@b c", "user:a|b", "USER:a"):
        with pytest.raises(RequestError, match=r"^to: "):
            values.dial_string(bad, TEMPLATE)


@pytest.mark.parametrize("good", ["Zoë O'Brien", "東京支店", "R&D / Sales #1", "", "a=b", "50%", "x" * 80])
def test_names_in_any_script(good: str) -> None:
    assert values.caller_name(good) == good


@pytest.mark.parametrize(
    "bad",
    [
        '"',
        "\\",
        "a,b",
        "{",
        "}",
        "[",
        "]",
        "<",
        ">",
        "(",
        ")",
        "^",
        "|",
        ";",
        "`",
        "$",
        "\n",
        "\r",
        "\0",
        "\x7f",
        "\x85",
        "\u2028",
        "\ud800",
        "x" * 81,
    ],
)
def test_names_that_could_be_taken_for_syntax(bad: str) -> None:
    _refused("caller_name", values.caller_name, bad)


@pytest.mark.parametrize(
    "good",
    [
        "tone_stream://%(300,100,440);loops=3",
        "silence_stream://2000,1400",
        "local_stream://moh",
        "/var/sounds/welcome.wav",
        "/var/sounds/de/welcome.wav",
        "/var/recordings/tnt_main/rec_1.wav",
        "ivr/ivr-welcome.wav",
    ],
)
def test_sounds_that_may_be_played(good: str) -> None:
    assert values.sound(good, FOLDERS) == good


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ("/etc/passwd", "path_not_allowed"),
        ("/var/sounds", "path_not_allowed"),
        ("/var/soundsx/a.wav", "path_not_allowed"),
        ("/var/recordings/tnt_other/rec_1.wav", "path_not_allowed"),
        ("/var/sounds/./../x.wav", "invalid_value"),
        ("../x.wav", "invalid_value"),
        ("http://example.org/a.wav", "invalid_value"),
        ("file_string://a!b", "invalid_value"),
        ("say:hello", "invalid_value"),
        ("{loops=-1}a.wav", "invalid_value"),
        ("a b.wav", "invalid_value"),
        ("-a.wav", "invalid_value"),
        ("tone_stream://%(1,2,3) aleg", "invalid_value"),
        ("tone_stream://", "invalid_value"),
        ("", "invalid_value"),
        (None, "invalid_value"),
    ],
)
def test_sounds_that_may_not(bad: object, code: str) -> None:
    with pytest.raises(RequestError, match=r"^path: ") as refused:
        values.sound(bad, FOLDERS)
    assert refused.value.code == code


@given(st.text(max_size=40))
def test_no_text_reaches_a_file_outside_the_folders(text: str) -> None:
    for path in (text, f"/var/sounds/{text}", f"/{text}"):
        try:
            taken = values.sound(path, FOLDERS)
        except RequestError:
            continue
        assert ".." not in taken
        if taken.startswith("/"):
            assert taken.startswith(("/var/sounds/", "/var/recordings/tnt_main/"))


def test_a_folder_that_is_not_set_opens_nothing() -> None:
    with pytest.raises(RequestError):
        values.sound("/a.wav", ("",))


def test_seconds_have_limits() -> None:
    assert values.seconds(None, "timeout_s", default=40, least=1, most=120) == 40
    assert values.seconds(2.9, "timeout_s", default=40, least=1, most=120) == 2
    for bad in (0, 121, -1, "5", True, float("nan"), float("inf")):
        with pytest.raises(RequestError, match=r"^timeout_s: "):
            values.seconds(bad, "timeout_s", default=40, least=1, most=120)


def test_one_word_out_of_a_few() -> None:
    assert values.one_of("a", "mode", ("a", "b")) == "a"
    for bad in ("c", "A", None, 1, ["a"]):
        with pytest.raises(RequestError, match=r"^mode: expected one of a, b"):
            values.one_of(bad, "mode", ("a", "b"))


def _refused(field: str, check: object, bad: object) -> None:
    assert callable(check)
    with pytest.raises(RequestError, match=f"^{field}: ") as refused:
        check(bad)
    assert refused.value.code == "invalid_value"
    assert refused.value.status_hint == 400
