"""How a bench tells its result: a table for people, ``--json`` for programs, a ratio to a reference in the same run."""

import argparse
import json
import sys
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table


class Figure(msgspec.Struct, frozen=True):
    """One measured figure beside its reference."""

    name: str
    value: float
    unit: str
    reference: float
    reference_name: str
    wanted: str
    """The figure to reach, in words."""
    reached: bool

    @property
    def ratio(self) -> float:
        return self.value / self.reference if self.reference else 0.0


def arguments(description: str, **options: float) -> argparse.Namespace:
    """``--json`` and the bench's own numbers."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    for name, default in options.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    return parser.parse_args()


def report(name: str, figures: Sequence[Figure], *, as_json: bool) -> None:
    """Print the figures. The exit code says nothing about them: a slow machine is no failure."""
    if as_json:
        rows = [{**msgspec.to_builtins(figure), "ratio": round(figure.ratio, 3)} for figure in figures]
        json.dump({"bench": name, "figures": rows}, sys.stdout, indent=1)
        print()
        return
    table = Table(title=name)
    for column in ("figure", "measured", "reference", "ratio", "to reach", ""):
        table.add_column(column, justify="left" if column in ("figure", "to reach") else "right")
    for figure in figures:
        table.add_row(
            figure.name,
            f"{figure.value:,.4g} {figure.unit}",
            f"{figure.reference:,.4g} {figure.unit} ({figure.reference_name})",
            f"{figure.ratio:.2f}",
            figure.wanted,
            "reached" if figure.reached else "missed",
        )
    Console().print(table)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]
