"""The rules of an agent's session, as data: how long every step may take, and how an offer and a dial go on.

Rule 1: nothing waits for ever. Whatever the session asks of somebody else is a step of `STEPS`; when its time is over
the page is told what is known then, and what comes later is put right, not shown.

Rule 2: an offer moves along `OFFER_MOVES` only. What the log says is always right: a fact that the table does not know
changes nothing. A request that it does not know is refused and changes nothing either.

Rule 3: an offer is shown to a page that has just proved to be there, and to no other.
"""

PROBE_S = 1.5
"""How long a page may take to answer a probe. Chromium wakes a hidden page's timers once a second, its sockets at once."""
NO_ANSWER = "no_answer_from_page"
KEPT_S = 60.0
"""How long a session outlives its socket."""
KEPT_EVENTS = 256
KEPT_ANSWERS = 64
REQUESTS_AT_ONCE = 32
"""Requests of one session under way together."""
HEARTBEAT_S = 20
"""How often a page gives a sign of life."""
SILENCE_S = 50.0
"""How long a socket may be silent before it is taken for dead."""
RING_S = 20
"""How long a colleague is rung."""
LATE_S = 1.0
"""How much later than its own deadline a step's answer may come before we give it up ourselves."""

STEPS: dict[str, float] = {
    "store": 5.0,  # one operation of the store
    "claim": 5.0,  # an offer becomes ours
    "phone": 30.0,  # the switch answers a browser's offer
    "order": 15.0,  # any other order about a call
    "ring": RING_S + 10.0,  # a colleague decides, or the keeper for them
}
"""Seconds that each kind of step may take."""

PROBING, SHOWN, CLAIMING, CALLING, CONNECTED, LEAVING, WRAP_UP, GONE = (
    *("probing", "shown", "claiming", "calling", "connected", "leaving", "wrap_up", "gone"),
)
"""States of an offer in a session."""

PROBED, SILENT, ACCEPT, DECLINE, CLAIMED, CALLED, REFUSED = (
    *("probed", "silent", "accept", "decline", "claimed", "called", "refused"),
)
"""What a page, the switch and the clock do to an offer. The log's words are those of the reservation."""

_LOG = {
    "accepted": None,
    "connected": CONNECTED,
    "wrap_up": WRAP_UP,
    "declined": GONE,
    "missed": GONE,
    "withdrawn": GONE,
    "failed": GONE,
    "done": GONE,
}

OFFER_MOVES: dict[str, dict[str, str]] = {
    PROBING: {PROBED: SHOWN, SILENT: LEAVING, DECLINE: LEAVING},
    SHOWN: {PROBED: SHOWN, ACCEPT: CLAIMING, DECLINE: LEAVING},
    CLAIMING: {CLAIMED: CALLING, REFUSED: GONE},
    CALLING: {CALLED: CONNECTED, REFUSED: GONE},
    CONNECTED: {},
    LEAVING: {},
    WRAP_UP: {},
    GONE: {},
}
for _state, _moves in OFFER_MOVES.items():
    for _word, _to in _LOG.items():
        if _to is not None and _state != GONE:
            _moves[_word] = _to
# Accepted, and not by this session: another way in, or another page.
for _state in (PROBING, SHOWN, LEAVING):
    OFFER_MOVES[_state]["accepted"] = CONNECTED

CAUSES = {
    "declined": "CALL_REJECTED",
    "missed": "NO_ANSWER",
    "withdrawn": "ORIGINATOR_CANCEL",
    "failed": "NORMAL_TEMPORARY_FAILURE",
    "agent_busy": "USER_BUSY",
    "agent_offline": "SUBSCRIBER_ABSENT",
}
"""How a call to a colleague ends for the one who called, by what became of the reservation, or why there was none."""
