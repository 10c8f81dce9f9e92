"""Who somebody is on WhatsApp: a phone number, a business-scoped user id (BSUID), or both. Pure.

Since 2026 a person with a username may hide the number; then the user id, which only this business knows, is all there
is. Where a delivery holds both, both are theirs for certain: one is the sender, the others are aliases.
"""

import re
from collections.abc import Iterable

from msgspec import Struct

from irisx_channels.lenient import Json, part, words
from irisx_sdk import Address


def address(value: str, name: str = "") -> Address:
    """The address of a WhatsApp id: digits are a phone number, everything else a user id (``US.1349…``)."""
    return (
        phone(value, name)
        if value.lstrip("+").isascii() and value.lstrip("+").isdigit()
        else _user(value, name)
    )


def phone(value: str, name: str = "") -> Address:
    """A phone number in E.164; Meta leaves the plus away, and the display form may have blanks and dashes."""
    return Address("phone", "+" + "".join(char for char in value if char.isdigit()), name)


def same_line(number: str) -> str:
    """The number that people dial for ``number``, where WhatsApp keeps an older form of it; empty otherwise.

    Mexico dropped the 1 after its country code in 2019, Brazil put a 9 before all mobile numbers by 2016; WhatsApp ids
    made before are still the old ones. Without this the person who was written to would not be the one who answers.
    """
    if re.fullmatch(r"\+521\d{10}", number):
        return "+52" + number[4:]
    if re.fullmatch(r"\+55\d\d[6-9]\d{7}", number):
        return f"{number[:5]}9{number[5:]}"
    return ""


def _user(value: str, name: str) -> Address:
    return Address("user", value, name)


class Person(Struct, frozen=True):
    """Everything that a delivery says about one person: never empty, the phone number first."""

    addresses: tuple[Address, ...]

    @staticmethod
    def of(name: str, ids: Iterable[str]) -> "Person":
        """A person by the ids of theirs, most certain first; each once."""
        found = dict.fromkeys(address(one, name) for one in ids if one)
        found |= dict.fromkeys(address(twin, name) for one in found if (twin := same_line(one.value)))
        return Person(tuple(sorted(found, key=lambda one: one.kind != "phone")))

    def is_any_of(self, ids: Iterable[str]) -> bool:
        """Whether one of the ids is this person's."""
        mine = {one.value for one in self.addresses}
        return any(address(one).value in mine for one in ids)

    def also(self, ids: list[str]) -> "Person":
        """The same person with more ids, which come before the known ones."""
        name = self.addresses[0].name if self.addresses else ""
        return Person.of(name, [*ids, *(one.value for one in self.addresses)])


def person(contact: Json) -> Person:
    """One entry of a delivery's ``contacts``."""
    profile = part(contact, "profile")
    name = words(profile, "name") or words(profile, "username")
    return Person.of(name, (words(contact, key) for key in ("wa_id", "user_id", "parent_user_id")))
