"""What every test of a fault begins and ends with: a switch with an owner and traffic; then the books."""

from bench.ear import PASSWORD
from bench.proxy import Proxy
from bench.stack import Child, Stack, owned, rows, wait_until
from tests.faults.truth import Books, Ends

RATE = 60
TOTAL = 240
"""Four seconds of traffic."""
POLL_S = 0.1
"""Between two questions to the database: each is a session of its own."""


class Scene:
    """A stack with one switch, its traffic, and an ear on it that hears what truly happens."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.port = 0
        self.total = 0
        self.controllers: list[Child] = []
        self._ears: list[Ends] = []
        self._proxies: list[Proxy] = []

    @property
    def url(self) -> str:
        return self.stack.env["DATABASE_URL"]

    @property
    def ear(self) -> Ends:
        return self._ears[0]

    def begin(
        self,
        *,
        controllers: int = 1,
        total: int = TOTAL,
        rate: float = RATE,
        talk: float = 2,
        heartbeat: float = 2,
        **env: str,
    ) -> None:
        """A switch with an owner, an ear on it, and then traffic: ``rate`` callers a second, ``total`` in all, who
        talk for ``talk`` seconds (0: for ever). ``env`` is for the controllers."""
        self.port = self.stack.switch("sim1", heartbeat=heartbeat)
        self._owned(controllers, env)
        self.traffic(total=total, rate=rate, talk=talk)

    def begin_behind_a_proxy(self, *, total: int, rate: float, talk: float, heartbeat: float) -> Proxy:
        """The same, with a proxy between the controller and the switch (the ear hears the switch itself)."""
        self.port = self.stack.switch("sim1", register=False, heartbeat=heartbeat)
        proxy = Proxy(self.port)
        self._proxies.append(proxy)
        self.stack.register("sim1", f"esl://:{PASSWORD}@127.0.0.1:{proxy.port}")
        self._owned(1, {})
        self.traffic(total=total, rate=rate, talk=talk)
        return proxy

    def _owned(self, controllers: int, env: dict[str, str]) -> None:
        self.controllers = [
            self.stack.controller(f"controller-{number}", **env) for number in range(controllers)
        ]
        wait_until(owned(self.stack), "a controller owns the switch", every_s=POLL_S)
        self._ears.append(Ends(self.port))

    def traffic(self, *, total: int, rate: float = RATE, talk: float = 2) -> None:
        """More callers."""
        self.total += total
        self.stack.traffic("sim1", rate=rate, total=total, talk=talk)

    def ended(self) -> int:
        return len(self.ear.ended)

    def wait_ended(self, part: float, within_s: float = 60) -> None:
        """Wait until this part of the traffic has come and gone on the switch."""
        wait_until(lambda: self.ended() >= self.total * part, f"{part:.0%} of the calls ended", within_s)

    def ask(self, statement: str) -> list[dict[str, object]]:
        """What the store answers; it sees every tenant."""
        return [dict(row) for row in rows(self.url, statement)[0]]

    def number(self, statement: str) -> int:
        """The one number that the store answers (``select … as n``)."""
        found = self.ask(statement)[0]["n"]
        assert isinstance(found, int)
        return found

    def wait_stored(self, holds: str, what: str, within_s: float = 60) -> None:
        """Wait until an SQL condition holds."""
        wait_until(lambda: self.ask(f"select {holds} as yes")[0]["yes"], what, within_s, every_s=POLL_S)

    def live(self) -> int:
        return self.number("select count(*) as n from calls where live")

    def settled(self, within_s: float = 60) -> Books:
        """Wait until all traffic is over and its records are written, or time is up: `Books.check` says what lacks."""
        self.wait_ended(1, within_s)
        try:
            self.wait_stored(
                f"(select count(*) from cdrs where kind = 'leg') >= {self.total}"
                " and not exists (select from calls where live)",
                "all records written",
                within_s,
            )
        except TimeoutError:
            pass
        return self.books()

    def books(self) -> Books:
        return Books(self.url)

    def close(self) -> None:
        for ear in self._ears:
            ear.close()
        for proxy in self._proxies:
            proxy.close()
