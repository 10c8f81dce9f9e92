"""Our vocabularies are FreeSWITCH's, word for word and number for number."""

import json
from pathlib import Path
from typing import Any

import pytest

from freeswitch import words

FACTS: Any = json.loads((Path(__file__).parents[1] / "data" / "words.json").read_text())


def test_event_names_are_the_switchs() -> None:
    assert words.EVENT_NAMES | {"ALL"} == set(FACTS["events"])
    assert len(words.EVENT_NAMES) == 93


def test_states_are_the_switchs_in_its_order() -> None:
    assert list(words.CHANNEL_STATES) == FACTS["channel_states"]
    assert list(words.CALL_STATES) == FACTS["call_states"]


def test_causes_and_their_numbers_are_the_switchs() -> None:
    assert {one.name: one.number for one in words.CAUSES.values()} == FACTS["cause_numbers"]
    assert all(key == one.name for key, one in words.CAUSES.items())


@pytest.mark.parametrize("name", sorted(FACTS["cause_numbers"]))
def test_a_cause_is_sent_as_the_sip_status_that_the_switch_sends(name: str) -> None:
    assert words.sip_of_cause(name) == FACTS["sip_sent"].get(name, FACTS["sip_sent_otherwise"])


@pytest.mark.parametrize("status", range(200, 700))
def test_a_sip_status_is_received_as_the_switch_receives_it(status: int) -> None:
    assert words.cause_of_sip(status) == FACTS["sip_received"].get(
        str(status), FACTS["sip_received_otherwise"]
    )


def test_every_cause_has_words_of_its_own_for_people() -> None:
    texts = [one.words for one in words.CAUSES.values()]
    assert len(set(texts)) == len(texts)
    assert all(text[0].isupper() and "_" not in text and not text.endswith(".") for text in texts)
    assert words.cause_words("NO_ANSWER") == "No answer"
    assert words.cause_words("USER_BUSY") == "Busy"


def test_causes_are_found_by_name_in_any_casing_and_by_number() -> None:
    busy = words.CAUSES["USER_BUSY"]
    assert words.cause("user_busy") is words.cause("17") is words.cause(17) is busy
    assert busy.q850 == 17
    assert words.CAUSES["LOSE_RACE"].q850 is None
    assert words.CAUSES["NONE"].q850 is None


@pytest.mark.parametrize("text", ["", "NOT_A_CAUSE", "99999999999999", "-1", "٣"])
def test_unknown_causes_are_none_and_still_readable(text: str) -> None:
    assert words.cause(text) is None
    assert words.sip_of_cause(text) == 480
    assert words.cause_words(text)
