"""uuid_bridge: two legs that are up are taken out of what they do and bridged (switch_ivr_uuid_bridge).

Both go to CS_HIBERNATE and CS_RESET; the first one then runs the bridge in CS_SOFT_EXECUTE. A leg without
media cannot be the first one, and cannot be answered on the way either: it is hung up.
"""

from freeswitch.simulator import bridge, transfer
from freeswitch.simulator import channel as ch
from freeswitch.simulator import origins as at
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.timing import Thread


def join(first: Channel, second: Channel) -> bool:
    """Begin to bridge. False when neither leg has media."""
    if first.down:
        return False
    if first.direction == "outbound" and "dialplan" not in first.flags:
        transfer.flip(first)
    if not (first.answered or first.early):
        if not (second.answered or second.early):
            return False
        first, second = second, first
    if second.direction == "outbound":
        second.flags.discard("dialplan")
        second.touch()
    first.set("uuid_bridge", second.uuid)
    for leg, mate in ((first, second), (second, first)):
        leg.set("bridge_channel", mate.name)
        leg.set("bridge_uuid", mate.uuid)
        leg.set("signal_bond", mate.uuid)
    _swap_names(second)
    for leg in (second, first):
        if leg.profile is not None:
            leg.set("original_destination_number", leg.profile.destination)
            leg.set("original_caller_id_name", leg.profile.caller_id_name)
            leg.set("original_caller_id_number", leg.profile.caller_id_number)
    theirs, ours = transfer.step_profile(second), transfer.step_profile(first)
    if theirs is not None and ours is not None:
        seen, mine = theirs.clone(), ours.clone()
        seen.set(index="")
        mine.set(index="")
        second.show_other(mine, "originator")
        first.show_other(seen, "originatee")
        ours.set(callee_id_name=theirs.callee_id_name, callee_id_number=theirs.callee_id_number)
        theirs.set(caller_id_name=ours.caller_id_name, caller_id_number=ours.caller_id_number)
        transfer.remember(first, ours, f"uuid_br:{second.uuid}")
        transfer.remember(second, theirs, f"uuid_br:{first.uuid}")
    for leg in (first, second):
        leg.broken = True
        leg.flags.add("stop_broadcast")
        leg.flags.discard("uuid-bridge-first")
    first.flags.add("uuid-bridge-first")
    first.rejoin = _soft_execute(first, second)
    second.rejoin = _wait_to_be_joined(second)
    for leg in (first, second):
        transfer.leave(leg, ch.CONSUME_MEDIA if leg.state == ch.HIBERNATE else ch.HIBERNATE)
    return True


def _swap_names(second: Channel) -> None:
    """An inbound leg that becomes the second one shows its partner as the caller (switch_channel_invert_cid)."""
    profile = second.profile
    if profile is None:
        return
    inbound_display = (
        "bleg" not in second.flags if second.direction == "inbound" else "dialplan" in second.flags
    )
    if inbound_display:
        profile.set(
            caller_id_name=profile.callee_id_name or "Unknown",
            caller_id_number=profile.callee_id_number or "Unknown",
            callee_id_name=profile.caller_id_name,
            callee_id_number=profile.caller_id_number,
        )
        if second.direction == "inbound":
            second.flags.add("bleg")


def _wait_to_be_joined(second: Channel) -> Thread:
    """Wait in CS_RESET until the first leg calls for this one, then sit in CS_SOFT_EXECUTE."""
    while second.state == ch.RESET and not second.transferred:
        yield None
    if second.state != ch.SOFT_EXECUTE:
        return
    second.enter(ch.SOFT_EXECUTE)
    if not second.answered and not second.early:
        # CS_SOFT_EXECUTE reads media, and there is none.
        second.hang_up("DESTINATION_OUT_OF_ORDER")
        return
    while second.state == ch.SOFT_EXECUTE and not second.transferred:
        yield None


def _without_second(first: Channel) -> None:
    """What becomes of the first leg when the second one has hung up before its turn."""
    if first.true("park_after_bridge"):
        transfer.park(first)
    elif (where := first.get("transfer_after_bridge")) is not None:
        bridge.transfer_after(first, where)
    else:
        first.hang_up("DESTINATION_OUT_OF_ORDER")


def _soft_execute(first: Channel, second: Channel) -> Thread:
    tick = first.switch.settings.tick_s or 0.001
    first.aim(ch.SOFT_EXECUTE)
    first.enter(ch.SOFT_EXECUTE)
    if second.down:
        _without_second(first)
        return
    first.set("uuid_bridge", None)
    for _ in range(1000):
        if second.down or first.down:
            break
        if second.state == second.running == ch.RESET:
            second.aim(ch.SOFT_EXECUTE)
            second.wake()
        if second.state == second.running == ch.SOFT_EXECUTE:
            break
        yield tick
    else:
        first.hang_up("DESTINATION_OUT_OF_ORDER")
        second.hang_up("DESTINATION_OUT_OF_ORDER")
    if first.down:
        # The second one is left where it is: nobody will ever wake it.
        return
    if second.down or not (second.answered or second.early):
        while not second.down:
            yield tick
        if first.true("uuid_bridge_continue_on_cancel"):
            first.aim(ch.EXECUTE)
        elif first.true("uuid_bridge_park_on_cancel"):
            transfer.park(first)
        elif not first.transferred:
            first.hang_up("ORIGINATOR_CANCEL")
        return
    # These two make the tables behind `show channels` say uuid_bridge; nothing completes them.
    for leg, mate, where in (
        (first, second, at.CHANNEL_EXECUTE_SOFT),
        (second, first, at.CHANNEL_EXECUTE_SOFT_OTHER),
    ):
        leg.application, leg.application_data = "uuid_bridge", mate.uuid
        leg.fire(where, after=(("Application", "uuid_bridge"), ("Application-Data", mate.uuid)))
    yield from bridge.talk(first, second)
    first.flags.discard("uuid-bridge-first")
    if not first.transferred and first.state == ch.SOFT_EXECUTE:
        # Back to what is left of its extension; nothing left means that the leg is hung up.
        first.aim(ch.EXECUTE)
