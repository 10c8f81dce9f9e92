"""Metrics in Prometheus' text format.

What is counted for every request must cost next to nothing, so requests are counted in plain arrays (one for each
operation) and only turned into Prometheus' families when somebody asks. Switches and controllers do not answer
scrapes themselves: what they reported last is repeated here, for every switch, whoever of the API processes is asked.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from api.http.version import VERSION
from core.clock import monotonic
from core.errors import IrisxError
from core.storage import nodes as node_store

if TYPE_CHECKING:
    from api.http.services import Services

EDGES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Counts:
    """The requests of one operation."""

    __slots__ = ("buckets", "by_class", "seconds")

    def __init__(self) -> None:
        self.by_class = [0, 0, 0, 0, 0, 0]
        """By the first digit of the status."""
        self.buckets = [0] * (len(EDGES_S) + 1)
        self.seconds = 0.0

    def add(self, status: int, seconds: float) -> None:
        self.by_class[status // 100] += 1
        self.buckets[bisect_left(EDGES_S, seconds)] += 1
        self.seconds += seconds


class Metrics:
    """What one API process counts."""

    def __init__(self) -> None:
        self.operations: dict[str, Counts] = {}
        self.streams = 0
        self.stream_gaps = 0
        self.stream_frames = 0
        self.stream_closed_slow = 0

    def counts_of(self, operation: str) -> Counts:
        return self.operations.setdefault(operation, Counts())

    async def render(
        self, services: "Services", may_see: Callable[[str], bool], more: Iterable[Metric] = ()
    ) -> bytes:
        """All of it as text: of the switches those whose tenant ``may_see`` allows, and none while the database is
        out of reach. ``more`` is added at the end."""
        try:
            found = await node_store.list_nodes(services.database)
            nodes = [node for node in found if may_see(node.default_tenant)]
        except IrisxError:
            nodes = []
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Once([*self._own(services), *_of_nodes(nodes), *more]))
        return generate_latest(registry)

    def _own(self, services: "Services") -> Iterator[Metric]:
        build = GaugeMetricFamily("irisx_build_info", "The version that runs", labels=["version"])
        build.add_metric([VERSION], 1)
        yield build
        yield GaugeMetricFamily(
            "irisx_api_uptime_seconds", "Since this process started", monotonic() - services.started
        )
        requests = CounterMetricFamily(
            "irisx_api_requests", "Requests answered", labels=["operation", "status"]
        )
        times = HistogramMetricFamily(
            "irisx_api_request_duration_seconds", "From the first byte to the answer", labels=["operation"]
        )
        for name, counts in sorted(self.operations.items()):
            for digit, number in enumerate(counts.by_class):
                if number:
                    requests.add_metric([name, f"{digit}xx"], number)
            total, buckets = 0, []
            for edge, number in zip([*map(str, EDGES_S), "+Inf"], counts.buckets, strict=True):
                total += number
                buckets.append((edge, total))
            times.add_metric([name], buckets, counts.seconds)
        yield requests
        yield times
        yield GaugeMetricFamily("irisx_api_streams", "Live streams open", self.streams)
        yield CounterMetricFamily(
            "irisx_api_stream_frames", "Frames sent to live streams", self.stream_frames
        )
        yield CounterMetricFamily("irisx_api_stream_gaps", "Gaps told to live streams", self.stream_gaps)
        yield CounterMetricFamily(
            "irisx_api_streams_closed_slow",
            "Streams closed because they did not read",
            self.stream_closed_slow,
        )
        yield CounterMetricFamily(
            "irisx_api_rate_limited", "Requests refused by a rate limit", services.limits.refused
        )
        yield CounterMetricFamily(
            "irisx_api_bus_reconnects", "Connections to the bus that were lost", services.bus.reconnects
        )
        for state, number in services.database.statistics().items():
            yield GaugeMetricFamily(
                f"irisx_api_database_connections_{state}", f"Database connections: {state}", number
            )


def _of_nodes(nodes: list[node_store.Node]) -> Iterator[Metric]:
    """Every number that the switches' owners reported, one family each."""
    families: dict[str, GaugeMetricFamily] = {}
    for node in nodes:
        numbers = {
            "fence": float(node.fence),
            "draining": float(node.state != "active"),
            **numbers_of(node.status),
        }
        for name, value in numbers.items():
            family = families.get(name)
            if family is None:
                family = families[name] = GaugeMetricFamily(
                    f"irisx_switch_{name}",
                    "As the switch's controller reported it last",
                    labels=["node", "name"],
                )
            family.add_metric([node.id, node.name], value)
    yield from families.values()


def numbers_of(status: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers in a status, flat: ``link.events`` becomes ``link_events``; true counts as 1."""
    found: dict[str, float] = {}
    for name, value in status.items():
        if isinstance(value, bool | int | float):
            found[prefix + name] = float(value)
        elif isinstance(value, Mapping):
            found.update(numbers_of(value, f"{prefix}{name}_"))
    return found


class _Once:
    """A collector of families that are there already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families
