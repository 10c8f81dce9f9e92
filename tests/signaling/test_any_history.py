"""Whatever a page, the store, the switch, the network and the clock do, and in whatever order: the promises of a session."""

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.model.signaling_spine import Came, Give, Keep
from tests.signaling.world import SDP, World

Step = tuple[str, int]
USUAL = ("shown", "claimed", "accept", "work", "work_last", "deliver", "lose", "resume", "repeat", "blip")
RARE = (
    *("offer", "converse", "expire", "withdraw", "deliver_one", "answer_probe", "decline", "begin_anew", "fail", "unknown"),
    *("tick", "long", "dial", "ping", "finish", "wrap", "hold", "replaced"),
)  # fmt: skip
STEPS = (*USUAL, *USUAL, *USUAL, *RARE)
histories = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 7)), min_size=40, max_size=60)


class History:
    """Plays steps, and keeps what was asked and what the page knows."""

    def __init__(self) -> None:
        self.world = World()
        self.world.connect()
        self.asked: dict[str, int] = {}
        """Request -> the socket on which it was sent last."""
        self.texts: dict[str, tuple[str, dict[str, str]]] = {}
        self.probed: set[str] = set()
        self.offers = 0

    def ask(self, kind: str, **members: str) -> None:
        if self.world.session.attached and not self.world.session.over:
            request = self.world.ask(kind, **members)
            self.asked[request] = len(self.world.sockets) - 1
            self.texts[request] = (kind, members)

    def play(self, step: Step) -> None:
        name, number = step
        world = self.world
        offers = list(world.store)
        offer = offers[number % len(offers)] if offers else ""
        work = list(world.work.values())
        # (what nobody waits for is tried until it is done: not here)
        doubtful = [one for one in work if not isinstance(one, Keep) or one.do not in ("connected", "failed")]
        match name:
            case "offer" | "converse":
                self.offers += 1
                world.offer(self.offers, kind="call" if name == "offer" else "conversation")
            case "shown" | "claimed":
                for usual in ("offer" if number else "converse", "deliver", "answer_probe"):
                    self.play((usual, number))
                if name == "claimed":
                    self.ask("accept", offer=list(world.store)[-1], sdp=SDP)
                    self.play(("work_last", 0))
            case "blip":
                for usual in ("lose", "work", "deliver", "resume", "repeat"):
                    self.play((usual, number))
            case "expire" if offer:
                world.move(offer, "missed")
            case "withdraw" if offer:
                world.move(offer, "withdrawn") or world.move(offer, "failed")
            case "wrap" if offer:
                world.move(offer, "wrap_up", wrap_until_us=world.now.us + 30_000_000)
            case "deliver":
                world.deliver()
            case "deliver_one":
                world.deliver(1)
            case "answer_probe":
                for event in world.events("probe"):
                    if event["probe"] not in self.probed and world.session.attached:
                        self.probed.add(event["probe"])
                        self.ask("probed", probe=event["probe"])
            case "accept" if offer:
                self.ask("accept", offer=offer, sdp=SDP)
            case "decline" if offer:
                self.ask("decline", offer=offer)
            case "finish" if offer:
                self.ask("wrap_up", offer=offer, disposition="done")
            case "ping":
                self.ask("ping")
            case "dial":
                self.ask("dial", to="+4930222", sdp=SDP)
            case "hold":
                self.ask("hold", call="call_1")
            case "lose" if world.session.attached:
                world.lose()
            case "resume" | "begin_anew" if not world.session.attached and not world.session.over:
                world.connect(resume=name == "resume")
            case "repeat" if self.asked and world.session.attached:
                request = list(self.asked)[number % len(self.asked)]
                # (a page asks again what had no answer, and on a new socket only)
                if self.asked[request] != len(world.sockets) - 1 and not world.answers(request):
                    self.asked[request] = len(world.sockets) - 1
                    kind, members = self.texts[request]
                    world.ask(kind, request=request, **members)
            case "work" | "work_last" if work:
                one = work[-1] if name == "work_last" else work[number % len(work)]
                world.finish(one, world.act(one))
            case "fail" if doubtful:
                world.finish(doubtful[number % len(doubtful)], Came(False, code="refused_there", detail="no"))
            case "unknown" if doubtful:
                one = doubtful[number % len(doubtful)]
                if number % 2:
                    world.act(one)  # it was done, and nobody heard of it
                world.finish(one, Came(False, code="outcome_unknown", detail="?"))
            case "tick":
                world.pass_(number / 4)
            case "long":
                world.pass_(number * 10.0 if number > 5 else number * 2.0)
            case "replaced" if number == 7:
                world.take(world.session.replaced(world.now))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories)
def test_a_session_keeps_its_promises(steps: list[Step]) -> None:
    history = History()
    world = history.world
    for step in steps:
        history.play(step)
    world.settle()
    world.pass_(200)
    world.settle()

    for number, socket in enumerate(world.sockets):
        # Numbers have no gaps on any socket, and a page that resumes has missed nothing.
        numbers = [one["n"] for one in socket if "re" not in one]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
        hello = socket[0]
        if hello["resumed"] and number:
            before = [one["n"] for earlier in world.sockets[:number] for one in earlier if "re" not in one]
            known = max([*before, *(one[0]["n"] for one in world.sockets[:number] if not one[0]["resumed"])])
            assert numbers[:1] in ([], [known + 1])
        # Nothing is answered twice on a socket, nor answered that was not asked.
        answered = Counter(one["re"] for one in socket if "re" in one and one["re"] != "hi")
        assert all(count == 1 for count in answered.values()), answered
        assert set(answered) <= set(history.asked)

    # Every request has exactly one answer: on the socket where it was asked last, if that lived long enough.
    answers = world.session._answers
    for request, socket_number in history.asked.items():
        told = {str(one) for one in world.answers(request)}
        assert len(told) <= 1, "two different answers"
        if socket_number == len(world.sockets) - 1 and world.session.attached and not world.session.over:
            assert told, f"{request} {history.texts[request]} was never answered"
        assert told or world.session.over or request in answers or not world.session.attached

    # No offer is accepted twice, and one that was accepted gives exactly one order to the switch.
    for offer, reserved in world.store.items():
        orders = world.agent_calls[reserved.leg] if reserved.leg else 0
        assert orders <= 1, f"{offer}: {orders} calls"
        good = [
            one
            for request, (kind, members) in history.texts.items()
            if kind == "accept" and members["offer"] == offer
            for one in world.answers(request)[:1]
            if one["ok"]
        ]
        assert len(good) <= 1
        if good and reserved.kind == "call":
            assert orders == 1 and good[0]["leg"]

        # What was accepted had been shown.
        if good:
            shown = [one["offer"]["id"] for one in world.events("offer")]
            shown += [one["id"] for socket in world.sockets for one in socket[0]["offers"]]
            assert offer in shown, "accepted before it was shown"

    # An offer is only shown to a page that has proved to be there (or was, when it said hello).
    for event in world.events("offer"):
        assert event["offer"]["id"] in history.probed

    # A leg that came to be is one that the page was told of, or it is ended; one that may have come to be is ended when
    # it is seen. Nothing stays accepted without a leg, and nothing waits for ever.
    ended = {one.args["leg"] for one in world.given if isinstance(one, Give) and one.action == "call.hangup"}
    told = {str(one.get("leg")) for socket in world.sockets for one in socket if one.get("ok")}
    kept = b"".join(world.session._answers.values())
    for leg, came in world.legs.items():
        if came.ok:
            assert leg in ended or leg in told or leg.encode() in kept, f"{leg} is nobody's"
        elif came.code == "outcome_unknown":
            assert leg in ended or leg in world.session.calls._unwanted
    assert not [one for one in world.store.values() if one.state == "accepted"]
    assert not world.session.unfinished
