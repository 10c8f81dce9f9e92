"""What every test of a fault begins and ends with: a switch with an owner, callers who come until they are told to
stop, and then the books.

Callers come for as long as a fault takes, so that it is always one under load, on a slow machine too.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bench.ear import PASSWORD
from bench.proxy import Proxy
from bench.stack import Api, Child, Stack, owned, rows, wait_until
from core.journal import SUFFIX, Mark, read
from tests.faults.truth import Books, Ends

RATE = 30
TALK_S = 1.5
POLL_S = 0.1
"""Between two questions to the database: each is a session of its own."""


class Scene:
    """A stack with one switch, its callers, and an ear on it that hears what truly happens."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.controllers: list[Child] = []
        self._api: Api | None = None
        self._ears: list[Ends] = []
        self._proxies: list[Proxy] = []

    @property
    def url(self) -> str:
        return self.stack.env["DATABASE_URL"]

    @property
    def ear(self) -> Ends:
        return self._ears[0]

    @property
    def api(self) -> Api:
        assert self._api is not None, "begin(api=True)"
        return self._api

    def restart_api(self, env: Mapping[str, str] | None = None) -> None:
        """Start it again after a kill, where its clients look for it."""
        port = int(self.api.url.rpartition(":")[2])
        self._api = self.stack.api(f"api-{len(self.stack.children)}", port=port, env=env)

    # Beginning ---------------------------------------------------------------------------------------

    def begin(
        self,
        *,
        controllers: int = 1,
        rate: float = RATE,
        talk: float = TALK_S,
        heartbeat: float = 2,
        env: Mapping[str, str] | None = None,
        api: bool = False,
        agents: bool = False,
        api_env: Mapping[str, str] | None = None,
    ) -> None:
        """A switch with an owner, an ear on it, and from now on ``rate`` callers a second who talk for ``talk``
        seconds (0: for ever). ``env`` is for the controllers; with ``api`` there is an `api`, too; with ``agents`` the
        switch takes agents' legs."""
        # Side by side: a program's start is mostly Python's imports.
        started = self.stack.start_api(env=api_env) if api else None
        self._switch(talk, heartbeat, agents)
        self.stack.register("sim1", self.stack.addresses["sim1"])
        self._own(controllers, env or {})
        self.callers(rate)
        if started is not None:
            self._api = self.stack.api_of(*started)

    def begin_behind_a_proxy(self, *, rate: float, talk: float, heartbeat: float) -> Proxy:
        """The same, with a proxy between the controller and the switch (the ear hears the switch itself)."""
        proxy = Proxy(self._switch(talk, heartbeat))
        self._proxies.append(proxy)
        self.stack.register("sim1", f"esl://:{PASSWORD}@127.0.0.1:{proxy.port}")
        self._own(1, {})
        self.callers(rate)
        return proxy

    def _switch(self, talk: float, heartbeat: float, agents: bool = False) -> int:
        return self.stack.switch(
            "sim1",
            register=False,
            agents=agents,
            heartbeat=heartbeat,
            to="9196",
            context="default",
            talk=talk,
        )

    def _own(self, controllers: int, env: Mapping[str, str]) -> None:
        self.controllers = [
            self.stack.controller(f"controller-{number}", env) for number in range(controllers)
        ]
        wait_until(owned(self.stack), "a controller owns the switch", every_s=POLL_S)
        self._ears.append(Ends(self.stack.switches["sim1"][1]))

    def callers(self, rate: float) -> None:
        """From now on so many come in a second."""
        self.esl(f"sim rate {rate:g}")

    def esl(self, line: str) -> str:
        """One api command on the switch, over a plain socket."""
        return self.stack.esl("sim1", line)

    # Going on ----------------------------------------------------------------------------------------

    def ended(self) -> int:
        """The legs that have ended on the switch."""
        return len(self.ear.ended)

    def go_on(self, calls: int = RATE, within_s: float = 30) -> None:
        """Wait until so many more calls have come and gone on the switch."""
        goal = self.ended() + calls
        wait_until(lambda: self.ended() >= goal, f"{calls} more calls have ended", within_s)

    # Ending ------------------------------------------------------------------------------------------

    def quiet(self, within_s: float = 60) -> int:
        """Let nobody come any more and wait until the last one has gone; how many legs there were."""
        self.callers(0)
        wait_until(lambda: self.esl("show channels count").strip() == "0 total.", "all calls ended", within_s)
        seen = -1
        while seen != self.ended():  # the last ends are on their way to the ear
            seen = self.ended()
            wait_until(lambda seen=seen: self.ended() > seen, "the ear hears more", 0.4, fail=False)
        return seen

    def settled(self, within_s: float = 60) -> Books:
        """Wait until all calls are over and recorded, or time is up: `Books.check` says what lacks."""
        total = self.quiet(within_s)
        wait_until(
            lambda: self.ask(
                f"select (select count(*) from cdrs where kind = 'leg') >= {total}"
                " and not exists (select from calls where live) as yes"
            )[0]["yes"],
            "all records written",
            within_s,
            every_s=POLL_S,
            fail=False,
        )
        return self.books()

    def books(self) -> Books:
        return Books(self.url)

    def close(self) -> None:
        for ear in self._ears:
            ear.close()
        for proxy in self._proxies:
            proxy.close()

    # What the store and the disk say -----------------------------------------------------------------

    def ask(self, statement: str) -> list[dict[str, Any]]:
        """What the store answers; it sees every tenant."""
        return [dict(row) for row in rows(self.url, statement)[0]]

    def wait_stored(self, holds: str, what: str, within_s: float = 60) -> None:
        """Wait until an SQL condition holds."""
        wait_until(lambda: self.ask(f"select {holds} as yes")[0]["yes"], what, within_s, every_s=POLL_S)

    def live(self) -> int:
        """Calls that are live in the store."""
        return int(self.ask("select count(*) as n from calls where live")[0]["n"])

    def fence(self) -> int:
        """The newest fencing token: it grows whenever somebody takes the switch over."""
        return int(self.ask("select fence from nodes")[0]["fence"])

    def switch_status(self) -> dict[str, Any]:
        """What the switch's owner reported last."""
        found: dict[str, Any] = msgspec.json.decode(
            self.ask("select status::text as said from node_status")[0]["said"]
        )
        return found

    def spools(self) -> list[Path]:
        """The files in which facts wait for Postgres."""
        folder = self.stack.folder / "state" / "spool"
        return [path for path in folder.glob("*.spool") if path.stat().st_size]

    def gaps_in_journals(self) -> int:
        """How often the flight recorder says that it lost something, in the journals that are there."""
        found = 0
        for path in (self.stack.folder / "state").rglob(f"*{SUFFIX}"):
            found += sum(isinstance(one, Mark) and one.mark == "gap" for one in read(path))
        return found
