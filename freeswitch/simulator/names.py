"""Made-up callers: numbers from ranges that are reserved for fiction, and names in many scripts."""

import random

_FIRST = (
    "Zoë", "José", "Anaïs", "Jürgen", "Søren", "Łukasz", "Mária", "Ömer", "Chloé", "Nguyễn", "Björn", "Ana", "Ivan",
    "Мария", "Олег", "Αλέξης", "Priya", "Fatima", "Wei", "Aoife", "Grace", "Noah", "Amara", "Tariq", "Emma", "Luca",
)  # fmt: skip
_LAST = (
    "Müller", "García", "Lefèvre", "Ångström", "Nowak", "Kovács", "Yılmaz", "O'Brien", "Nguyễn", "Иванова",
    "Παπαδόπουλος", "Sato", "Okafor", "Silva", "Haddad", "Smith", "Jensen", "Rossi", "de Vries", "Horák",
)  # fmt: skip
_WHOLE = ("山田太郎", "王小明", "김민준", "محمد علي", "שרה כהן", "ACME & Söhne <Zentrale>", "WIRELESS CALLER")

# Ranges that regulators keep free for films and books: NANPA 555-01xx, Ofcom's and Bundesnetzagentur's lists.
_RANGES = (
    ("+1212555", 100, 199, 4), ("+1415555", 100, 199, 4), ("+442079460", 0, 999, 3), ("+441632960", 0, 999, 3),
    ("+493023125", 0, 999, 3), ("+33199001", 0, 9999, 4), ("+61255501", 0, 9999, 4),
)  # fmt: skip


def draw(rng: random.Random) -> tuple[str, str]:
    """Return a number in E.164 and a name, which one caller in seven withholds."""
    prefix, low, high, digits = rng.choice(_RANGES)
    number = f"{prefix}{rng.randint(low, high):0{digits}d}"
    kind = rng.random()
    if kind < 0.14:
        return number, ""
    if kind < 0.24:
        return number, rng.choice(_WHOLE)
    return number, f"{rng.choice(_FIRST)} {rng.choice(_LAST)}"
