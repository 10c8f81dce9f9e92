"""What every part of an agent's session stands on: numbered events, answers given once, steps with deadlines. Pure.

Inputs are plain calls that carry the time; outputs collect in a list. An event gets its number whether or not a socket
is there; an answer is kept, so that a request that comes again after a reconnect is answered again and done once.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from typing import Any

from msgspec import Struct

from core.model.signaling import encode
from core.model.signaling_states import (
    KEPT_ANSWERS,
    KEPT_EVENTS,
    LATE_S,
    REQUESTS_AT_ONCE,
    STEPS,
)


class Now(Struct, frozen=True):
    """The two clocks: ``mono`` for deadlines, in seconds; ``us`` for people, in microseconds since the epoch."""

    mono: float
    us: int


class Frame(Struct, frozen=True):
    """Send this to the socket that the session has now."""

    body: bytes


class Give(Struct, frozen=True):
    """Give an order to whoever owns the switch; ``node`` is empty when any switch will do."""

    token: int
    action: str
    node: str
    call_id: str
    args: dict[str, str | int | bool | float | None]
    within_s: float


class Keep(Struct, frozen=True):
    """Do something in the store."""

    token: int
    do: str
    args: dict[str, Any]
    within_s: float


class Shut(Struct, frozen=True):
    """Close the socket that the session has now."""

    code: int
    reason: str


class Over(Struct, frozen=True):
    """The session has ended. ``offline``: nobody has taken it over, the agent is gone."""

    offline: bool


Output = Frame | Give | Keep | Shut | Over


class Came(Struct, frozen=True):
    """What came of an order or of an operation of the store."""

    ok: bool
    value: Mapping[str, Any] = {}
    code: str = ""
    detail: str = ""
    retryable: bool = False


TOO_LATE = Came(
    False, code="outcome_unknown", detail="no answer came in time; it may have been done", retryable=False
)
Then = Callable[[Came], None]


class Spine:
    """See the module's text."""

    __slots__ = (
        "_answers",
        "_due",
        "_kept",
        "_late",
        "_made",
        "_out",
        "_pending",
        "_work",
        "attached",
        "n",
        "now",
        "over",
        "surprises",
    )

    def __init__(self, now: Now) -> None:
        self.now = now
        self.n = 0
        """The number of the newest event."""
        self.attached = False
        self.over = False
        self.surprises = 0
        self._out: list[Output] = []
        self._kept: deque[bytes] | None = None
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        self._pending: set[str] = set()
        self._work: dict[int, Then] = {}
        self._late: dict[int, Then] = {}
        self._made = 0
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    # -- speaking

    def event(self, kind: str, members: Mapping[str, Any]) -> None:
        """Tell the page something: now, or when it is back."""
        self.n += 1
        body = encode({"n": self.n, "type": kind, **members})
        if self._kept is None:
            self._kept = deque(maxlen=KEPT_EVENTS)
        self._kept.append(body)
        if self.attached:
            self._out.append(Frame(body))

    def answer(self, request: str, members: Mapping[str, Any] | None = None) -> None:
        """It was done."""
        self._answered(request, encode({"re": request, "ok": True, **(members or {})}))

    def refuse(self, request: str, code: str, detail: str, *, retryable: bool = False) -> None:
        """It was not done, or nobody knows."""
        self._answered(
            request,
            encode({"re": request, "ok": False, "code": code, "detail": detail, "retryable": retryable}),
        )

    def refuse_as(self, request: str, came: Came) -> None:
        """What somebody else said of it."""
        self.refuse(request, came.code or "failed", came.detail, retryable=came.retryable)

    def _answered(self, request: str, body: bytes) -> None:
        if request not in self._pending:
            self.surprises += 1  # a bug of ours: it must not reach the page as a second answer
            return
        self._pending.discard(request)
        self._answers[request] = body
        if len(self._answers) > KEPT_ANSWERS:
            self._answers.popitem(last=False)
        if self.attached:
            self._out.append(Frame(body))

    def _begins(self, request: str) -> bool:
        """Whether this request is to be done: not one that is under way, or that has its answer."""
        if request in self._pending:
            return False
        known = self._answers.get(request)
        if known is not None:
            if self.attached:
                self._out.append(Frame(known))
            return False
        self._pending.add(request)
        if len(self._pending) > REQUESTS_AT_ONCE:
            self.refuse(request, "too_many", "too many requests are under way", retryable=True)
            return False
        return True

    def missed(self, after_n: int) -> list[bytes] | None:
        """The events after this number; None when they are not all kept (or have never been)."""
        lacking = self.n - after_n
        if lacking < 0:
            return None
        if lacking == 0:
            return []
        if self._kept is None or lacking > len(self._kept):
            return None
        return list(self._kept)[-lacking:]

    # -- asking others

    def order(
        self,
        then: Then,
        action: str,
        *,
        node: str,
        call_id: str,
        args: Mapping[str, str | int | bool | float | None],
        step: str = "order",
        late: Then | None = None,
    ) -> None:
        """Give an order; ``then`` is called once, with its outcome or when its time is over. What comes after that is
        ``late``'s to put right."""
        token = self._step(then, STEPS[step], late)
        self._out.append(Give(token, action, node, call_id, dict(args), STEPS[step]))

    def keep(
        self, then: Then, do: str, args: Mapping[str, Any], *, step: str = "store", late: Then | None = None
    ) -> None:
        """Do something in the store; ``then`` and ``late`` as with `order`."""
        self._out.append(Keep(self._step(then, STEPS[step], late), do, dict(args), STEPS[step]))

    def _step(self, then: Then, within_s: float, late: Then | None) -> int:
        self._made += 1
        token = self._made
        self._work[token] = then
        if late is not None:
            self._late[token] = late
        self.after(within_s + LATE_S, lambda: self._gave_up(token))
        return token

    def _gave_up(self, token: int) -> None:
        then = self._work.pop(token, None)
        if then is not None:
            then(TOO_LATE)

    def _came(self, token: int, came: Came) -> None:
        then = self._work.pop(token, None)
        late = self._late.pop(token, None)
        if then is not None:
            then(came)
        elif late is not None:
            late(came)

    # -- waiting

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Call ``act`` then. It looks for itself whether it is still wanted."""
        self._made += 1
        heappush(self._due, (self.now.mono + seconds, self._made, act))

    @property
    def due(self) -> float | None:
        """When `tick` has something to do next."""
        return self._due[0][0] if self._due else None

    def _ring(self) -> None:
        while self._due and self._due[0][0] <= self.now.mono:
            heappop(self._due)[2]()

    def _take(self) -> list[Output]:
        out = self._out
        if out:
            self._out = []
        return out

    @property
    def unfinished(self) -> bool:
        """Whether somebody else still owes an outcome that would have to be put right."""
        return bool(self._work or self._late)
