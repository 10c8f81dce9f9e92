"""Routing decisions a second: 50 carriers, 100,000 rates, numbers from everywhere; each decision names all 50 with reasons.

The reference is what a plain router would do with the same data: the longest prefix of each carrier by itself, and the
cheapest first.
"""

import random
import time

from bench.report import Figure, arguments, report
from core.model.outcomes import Breaker, Counts, Scores, levels_of
from core.model.rates import Currencies, Exchange, Rate, RateTable
from core.model.routing import Board, Carrier, Wanted, decide

NOW = 1_795_000_000_000_000
WANTED = 5000.0
"""Decisions a second, to reach."""


def main() -> None:
    """Run the bench and print its figures."""
    given = arguments(__doc__ or "", seconds=3.0, carriers=50, rates=100_000, numbers=20_000)
    chance = random.Random(7)
    rates = _rates(chance, given.carriers, given.rates)
    began = time.perf_counter()
    table = RateTable(rates, Currencies("EUR", [Exchange("USD", 0, 0.9)]))
    compiled_s = time.perf_counter() - began
    board = _board(chance, table, given.carriers)
    numbers = [
        chance.choice(rates).prefix + f"{chance.randrange(10**7):07}" for _ in range(int(given.numbers))
    ]
    cold = _speed(board, numbers, given.seconds)
    warm = _speed(board, numbers, given.seconds)
    plain = _plain(rates, numbers, given.seconds / 2)
    report(
        "routing_decision",
        [
            Figure("decisions, first look", cold, "/s", plain, "plain router", "", True),
            Figure("decisions", warm, "/s", plain, "plain router", "5,000/s", warm >= WANTED),
            Figure("compiling the rates", compiled_s, "s", 1.0, "a second", "", True),
        ],
        as_json=given.json,
    )


def _rates(chance: random.Random, carriers: int, rates: int) -> list[Rate]:
    prefixes = [""]
    while len(prefixes) * carriers < rates * 1.25:
        parent = chance.choice(prefixes)
        if len(parent) < 8:
            prefixes.append(parent + str(chance.randrange(1 if not parent else 0, 10)))
    pairs = [(carrier, prefix) for carrier in range(carriers) for prefix in sorted(set(prefixes))]
    # (duplicates among the prefixes: what is missing comes again as rates of another time)
    chosen = (
        [chance.choice(pairs) for _ in range(rates)] if len(pairs) < rates else chance.sample(pairs, rates)
    )
    return [
        Rate(
            carrier_id=f"car_{carrier}",
            prefix=prefix,
            price=chance.uniform(0.004, 0.09),
            currency=chance.choice(["EUR", "USD"]),
            valid_from_us=chance.choice([0, NOW - 1]),
        )
        for carrier, prefix in chosen
    ]


def _board(chance: random.Random, table: RateTable, carriers: int) -> Board:
    names = [f"car_{number}" for number in range(carriers)]
    counts = {}
    for name in names:
        for _ in range(40):
            number = str(chance.randrange(10**5, 10**6))
            for prefix in levels_of(number):
                counts[name, prefix] = Counts(50, chance.uniform(20, 50), 40, 0, NOW)
    return Board(
        carriers=tuple(
            Carrier(
                id=name,
                kind="sms",
                on=number % 17 != 3,
                abilities=frozenset({"media"} if number % 2 else ()),
                never=("7",) if number % 5 == 0 else (),
                spend_left=100.0,
                pays="submit" if number % 3 else "success",
            )
            for number, name in enumerate(names)
        ),
        rates={"sms": table},
        scores=Scores(counts, NOW),
        breakers={names[4]: Breaker(5, NOW + 10**9, 10), names[9]: Breaker(2)},
    )


def _speed(board: Board, numbers: list[str], seconds: float) -> float:
    done = 0
    began = time.process_time()
    while (spent := time.process_time() - began) < seconds:
        for number in numbers[done % len(numbers) :][:200]:
            decide(board, Wanted(digits=number, segments=2), NOW, 0.5)
            done += 1
    return done / spent


def _plain(rates: list[Rate], numbers: list[str], seconds: float) -> float:
    decks: dict[str, dict[str, float]] = {}
    for rate in rates:
        decks.setdefault(rate.carrier_id, {})[rate.prefix] = rate.price
    done = 0
    began = time.process_time()
    while (spent := time.process_time() - began) < seconds:
        for number in numbers[done % len(numbers) :][:200]:
            found = []
            for carrier, deck in decks.items():
                for length in range(len(number), -1, -1):
                    if (price := deck.get(number[:length])) is not None:
                        found.append((price, carrier))
                        break
            found.sort()
            done += 1
    return done / spent


if __name__ == "__main__":
    main()
