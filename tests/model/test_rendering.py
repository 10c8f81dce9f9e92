"""Texts with places: what is known is put in, what is not is reported, and nothing in a value is ever a command."""

from hypothesis import given
from hypothesis import strategies as st

from core.model.rendering import places, render

ANN = {"contact": {"name": "Ann <b>", "tags": ["a", "b"], "age": 7}, "n": 0, "yes": True}


def test_values_defaults_and_what_is_missing() -> None:
    text = "Hi {{contact.name}}, {{ contact.city | your town }}: {{contact.tags}} {{contact.age}} {{order.id}}{{yes}}"
    done = render(text, ANN)
    assert done.text == "Hi Ann <b>, your town: a, b 7 yes"
    assert done.missing == ("order.id",)
    assert places(text) == [
        "contact.name", "contact.city", "contact.tags", "contact.age", "order.id", "yes",
    ]  # fmt: skip


def test_in_html_values_are_escaped_and_the_authors_text_is_not() -> None:
    assert render("<p>{{contact.name}}</p>", ANN, html=True).text == "<p>Ann &lt;b&gt;</p>"
    assert render("{{x|<i>}}", {}, html=True).text == "&lt;i&gt;"


def test_a_value_is_never_read_for_places_again() -> None:
    assert render("{{a}}", {"a": "{{secret}}", "secret": "s"}).text == "{{secret}}"


def test_there_is_nothing_but_places() -> None:
    for text in (
        "{{ 7*7 }}",
        "{% if x %}",
        "{{contact.__class__}}",
        "{{contact.name.upper}}",
        "{{a.b()}}",
        "{{",
    ):
        done = render(text, {"a": {}, "contact": {"name": "Ann"}})
        assert done.text in (text, "")


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_any_text_renders(text: str, values: dict[str, str]) -> None:
    render(text, values)
    if "{{" not in text:
        assert render(text, values).text == text
