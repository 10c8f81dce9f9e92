"""Moving a leg elsewhere: new profiles, the identity turned round, parking in CS_PARK.

A transfer clones the caller profile with the next index, notes where it came from, and sends the channel
back to CS_ROUTING; what it was doing is left at the next opportunity (`Channel.transferred`).
"""

from freeswitch.simulator import channel as ch
from freeswitch.simulator import origins as at
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.profile import Profile
from freeswitch.simulator.wire import Pair


def step_profile(channel: Channel) -> Profile | None:
    """Give the channel a copy of its profile with the next index; it shows no other leg (set_caller_profile)."""
    old = channel.profile
    if old is None:
        return None
    profile = old.clone()
    now = channel.switch.clock.now_us()
    # Some times are not taken over: this identity has not been bridged or held yet.
    profile.set(index=str(int(old.index or "1") + 1), transfer_source="")
    for field in ("transferred", "resurrected", "bridged", "last_hold", "hold_accum"):
        profile.stamp(field, 0)
    profile.stamp("profile_created", now)
    channel.profile = profile
    channel.show_other(None, "")
    return profile


def remember(channel: Channel, profile: Profile, what: str) -> None:
    """Write where a transfer came from: ``epoch:uuid:bl_xfer:...`` on the profile and in two variables."""
    source = f"{channel.switch.clock.now_us() // 1_000_000}:{channel.switch.new_uuid()}:{what}"
    profile.set(transfer_source=source)
    history = channel.variables.get("transfer_history")
    if history is None:
        channel.set("transfer_history", source)
    else:
        channel.set("transfer_history", [*([history] if isinstance(history, str) else history), source])
    channel.set("transfer_source", source)


def go(channel: Channel, extension: str, dialplan: str = "", context: str = "") -> bool:
    """Transfer to an extension (switch_ivr_session_transfer). False when the leg has been passed on too often."""
    old = channel.profile
    if channel.down or old is None:
        return False
    name = "max_session_transfers" if channel.get("max_session_transfers") else "max_forwards"
    left = int(channel.get(name) or "71") - 1
    if left <= 0:
        channel.hang_up("EXCHANGE_ROUTING_ERROR")
        return False
    channel.set(name, str(left))
    channel.set("temp_hold_music", None)
    if not dialplan:
        dialplan = old.dialplan if old.dialplan.lower() != "inline" else ""
    dialplan = dialplan or "XML"
    context = context or old.context or "default"
    extension = extension or "service"
    channel.set("signal_bond", None)
    if channel.partner is not None:
        channel.partner.set("signal_bond", None)
    profile = step_profile(channel)
    if profile is None:
        return False
    profile.set(
        destination=extension,
        dialplan=dialplan,
        context=context,
        rdnis=old.destination,
        logical_direction="inbound",
    )
    remember(channel, profile, f"bl_xfer:{extension}/{context}/{dialplan}")
    channel.extension.clear()
    channel.flags.discard("xferext")
    leave(channel, ch.ROUTING)
    return True


def leave(channel: Channel, state: int) -> None:
    """Send a channel to ``state`` out of whatever it executes."""
    channel.transferred = True
    channel.parked = False
    channel.aim(state)
    channel.wake()
    if channel.partner is not None:
        # The other leg of a bridge looks at this one with every frame, whether or not this one's thread is in it yet.
        channel.partner.wake()


def park(channel: Channel) -> None:
    """Park in CS_PARK, as ``uuid_park`` and park_after_bridge do (switch_ivr_park_session)."""
    leave(channel, ch.PARK)


def turn_round(channel: Channel) -> None:
    """Make a called leg the calling one before it enters a dialplan (switch_channel_sort_cid)."""
    if channel.direction == "outbound" and "dialplan" not in channel.flags:
        flip(channel)
        channel.flags.add("dialplan")
        channel.touch()
    elif channel.direction == "inbound" and "bleg" in channel.flags:
        flip(channel)
        channel.flags.discard("bleg")


def flip(channel: Channel) -> None:
    """Swap caller and callee for good and say so (switch_channel_flip_cid)."""
    profile = channel.profile
    if profile is None:
        return
    bridged = channel.partner is not None
    name, number = profile.caller_id_name, profile.caller_id_number
    channel.set("pre_transfer_caller_id_name", name)
    profile.set(caller_id_name=profile.callee_id_name, callee_id_name="" if bridged else name)
    channel.set("pre_transfer_caller_id_number", number)
    profile.set(caller_id_number=profile.callee_id_number, callee_id_number="" if bridged else number)
    channel.set("channel_cid_flipped", "yes")
    if channel.direction == "outbound":
        channel.flags.add("dialplan")
        channel.touch()
    before: list[Pair] = [("Direction", "RECV")]
    if channel.partner is not None:
        before.append(("Bridged-To", channel.partner.uuid))
    channel.fire(at.CALL_UPDATE_FLIP, before=before)
