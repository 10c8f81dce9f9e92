"""Acting on live calls. Each of these is an order to the controller that owns the call's switch: it answers with
what happened, or says that nothing did (404, 409, 503) or that nobody knows (504)."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from api.http import orders
from api.http.answer import Answer
from api.http.ask import Ask
from api.http.calls import CALL, CallChanged, CallerName, From, read_values
from api.http.operation import Group
from api.http.patterns import whole
from api.http.shapes import Body, PhoneOrTarget

call_actions = Group("calls")

Uuid = Annotated[
    str,
    Meta(pattern=whole(r"[0-9A-Za-z_.-]{1,128}"), description="A leg of the call, by its channel's UUID."),
]
Digits = Annotated[
    str,
    Meta(
        pattern=whole(r"[0-9A-Da-d*#wW]{1,64}"),
        description="0-9 A-D * #, `w` waits half a second, `W` a second.",
    ),
]
Cause = Annotated[
    str, Meta(pattern=whole(r"[A-Z0-9_]{2,48}"), description="A hangup cause: `NORMAL_CLEARING`.")
]

ACTS = [404, 409, 502, 503, 504]


class OnLeg(Body):
    """Which leg; the call's first live one when it is not said."""

    leg: Uuid | None = None


class Hangup(Body):
    leg: Uuid | None = None
    """Only this leg; without it the whole call."""
    cause: Cause | None = None


class Keys(Body):
    digits: Digits
    leg: Uuid | None = None


class Transfer(Body):
    to: PhoneOrTarget
    mode: Literal["blind", "attended"] = "blind"
    leg: Uuid | None = None
    """The leg that goes (blind) or is held (attended)."""
    from_: From | None = msgspec.field(name="from", default=None)
    caller_name: CallerName | None = None
    timeout_s: Annotated[int, Meta(ge=1, le=120)] | None = None


class Bridge(Body):
    """Join a leg of this call with a leg of another one: the two calls become one."""

    call_id: Annotated[str, Meta(pattern=whole(r"call_[0-9a-z]{1,40}"))]
    leg: Uuid | None = None
    other_leg: Uuid | None = None


class Monitor(Body):
    """Call a supervisor and let them hear a leg (`listen`), speak to it alone (`whisper`) or to all (`barge`)."""

    to: PhoneOrTarget
    mode: Literal["listen", "whisper", "barge"] = "listen"
    leg: Uuid | None = None
    timeout_s: Annotated[int, Meta(ge=1, le=120)] | None = None


class MonitorStop(Body):
    monitor_leg: Uuid


async def act(ask: Ask[Any], action: str, args: orders.Args) -> Answer:
    """Give an order about the call in the path and answer with the call after it."""
    call_id = ask.path["call_id"]
    outcome = await orders.on_call(ask, action, call_id, args)
    return Answer(200, orders.encode_changed(await orders.call_after(ask, call_id, outcome), outcome))


def _simple(path: str, action: str, summary: str, text: str) -> None:
    async def handler(ask: Ask[OnLeg | None]) -> Answer:
        return await act(ask, action, read_values(ask.body) if ask.body is not None else {})

    handler.__name__ = f"{action.removeprefix('call.')}_call"
    handler.__doc__ = text
    call_actions.operation(
        "POST",
        f"/calls/{{call_id}}/{path}",
        permission="calls:control",
        summary=summary,
        body=OnLeg,
        body_optional=True,
        answers=CallChanged,
        paths=[CALL],
        problems=ACTS,
        bucket="calls",
    )(handler)


_simple("answer", "call.answer", "Answer a call", "Answer the inbound leg that still rings.")
_simple(
    "hold",
    "call.hold",
    "Hold",
    "The leg hears music, its partner waits. 409 when it is on hold or not answered.",
)
_simple("unhold", "call.unhold", "End the hold", "Back to the partner that the leg had.")
_simple("mute", "call.mute", "Mute", "Nobody hears this leg until it is unmuted.")
_simple("unmute", "call.unmute", "End the mute", "The leg is heard again.")


@call_actions.operation(
    "POST",
    "/calls/{call_id}/hangup",
    permission="calls:control",
    summary="Hang up",
    body=Hangup,
    body_optional=True,
    answers=CallChanged,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def hangup_call(ask: Ask[Hangup | None]) -> Answer:
    """End the call, or one leg of it. Answers when the end was seen."""
    return await act(ask, "call.hangup", read_values(ask.body) if ask.body is not None else {})


@call_actions.operation(
    "DELETE",
    "/calls/{call_id}",
    permission="calls:control",
    summary="Hang up the whole call",
    answers=CallChanged,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def delete_call(ask: Ask[None]) -> Answer:
    """The same as `hangup` without a body."""
    return await act(ask, "call.hangup", {})


@call_actions.operation(
    "POST",
    "/calls/{call_id}/dtmf",
    permission="calls:control",
    summary="Press keys",
    body=Keys,
    answers=CallChanged,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def dtmf_call(ask: Ask[Keys]) -> Answer:
    """Send DTMF to the far side of a leg. The keys are written nowhere; how many there were is."""
    return await act(ask, "call.dtmf", read_values(ask.body))


@call_actions.operation(
    "POST",
    "/calls/{call_id}/transfer",
    permission="calls:control",
    summary="Transfer",
    body=Transfer,
    answers=CallChanged,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def transfer_call(ask: Ask[Transfer]) -> Answer:
    """Blind: the leg goes on to `to` and its partner leaves. Attended: the leg is held while its partner talks to
    `to` first; `transfer/complete` joins them, `transfer/cancel` takes everything back."""
    args = read_values(ask.body)
    mode = args.pop("mode")
    return await act(ask, f"call.transfer_{mode}", args)


@call_actions.operation(
    "POST",
    "/calls/{call_id}/transfer/complete",
    permission="calls:control",
    summary="Complete an attended transfer",
    answers=CallChanged,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def transfer_complete_call(ask: Ask[None]) -> Answer:
    """Join the held leg with the third party; the one who consulted leaves. 409 before the third party answers."""
    return await act(ask, "call.transfer_complete", {})


@call_actions.operation(
    "POST",
    "/calls/{call_id}/transfer/cancel",
    permission="calls:control",
    summary="Cancel an attended transfer",
    answers=CallChanged,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def transfer_cancel_call(ask: Ask[None]) -> Answer:
    """End the third leg; the held leg and the one who consulted talk again."""
    return await act(ask, "call.transfer_cancel", {})


@call_actions.operation(
    "POST",
    "/calls/{call_id}/bridge",
    permission="calls:control",
    summary="Join with another call",
    body=Bridge,
    answers=CallChanged,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def bridge_call(ask: Ask[Bridge]) -> Answer:
    """Join a leg of this call with a leg of another one on the same switch."""
    return await act(ask, "call.bridge", read_values(ask.body))


@call_actions.operation(
    "POST",
    "/calls/{call_id}/monitor",
    permission="calls:control",
    summary="Listen in",
    body=Monitor,
    answers=CallChanged,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def monitor_call(ask: Ask[Monitor]) -> Answer:
    """Call a supervisor and let them hear a leg. `result.monitor_leg` names what `DELETE` ends."""
    return await act(ask, "call.monitor", read_values(ask.body))


@call_actions.operation(
    "DELETE",
    "/calls/{call_id}/monitor",
    permission="calls:control",
    summary="Stop listening in",
    body=MonitorStop,
    answers=CallChanged,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def monitor_stop_call(ask: Ask[MonitorStop]) -> Answer:
    """End the supervisor's leg."""
    return await act(ask, "call.monitor_stop", read_values(ask.body))
