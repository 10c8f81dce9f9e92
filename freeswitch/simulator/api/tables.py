"""The rows of the core's SQL tables, as `show` reads them: channels, calls, registrations, tasks, interfaces."""

from collections.abc import Callable

from freeswitch.simulator.api import COMMANDS
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.executing import APPS
from freeswitch.simulator.headers import BIT_RATES
from freeswitch.simulator.switch import Switch
from freeswitch.simulator.timing import local_text
from freeswitch.words import CALL_STATES, CHANNEL_STATES

Row = dict[str, str]

CHANNEL_COLUMNS = (
    "uuid", "direction", "created", "created_epoch", "name", "state", "cid_name", "cid_num", "ip_addr", "dest",
    "application", "application_data", "dialplan", "context", "read_codec", "read_rate", "read_bit_rate",
    "write_codec", "write_rate", "write_bit_rate", "secure", "hostname", "presence_id", "presence_data",
    "accountcode", "callstate", "callee_name", "callee_num", "callee_direction", "call_uuid", "sent_callee_name",
    "sent_callee_num", "initial_cid_name", "initial_cid_num", "initial_ip_addr", "initial_dest",
    "initial_dialplan", "initial_context",
)  # fmt: skip


def _codec(name: str) -> tuple[str, str, str]:
    return (name, "8000", BIT_RATES[name]) if name else ("", "", "")


def channel_row(channel: Channel) -> Row:
    """Return a channel's row of the table ``channels``."""
    profile = channel.profile
    created = local_text(channel.created_us)
    other = channel.profile_other
    values = (
        channel.uuid,
        channel.direction,
        created,
        str(channel.created_us // 1_000_000),
        channel.name,
        CHANNEL_STATES[channel.running],
        profile.caller_id_name if profile else "",
        profile.caller_id_number if profile else "",
        profile.network_addr if profile else "",
        profile.destination if profile else "",
        channel.application,
        channel.application_data,
        profile.dialplan if profile else "",
        profile.context if profile else "",
        *_codec(channel.read_codec),
        *_codec(channel.codec),
        "",
        channel.switch.settings.hostname,
        channel.get("presence_id") or "",
        "",
        channel.get("accountcode") or "",
        CALL_STATES[channel.call_state],
        profile.callee_id_name if profile else "",
        profile.callee_id_number if profile else "",
        "SEND" if other is not None else "",
        channel.get("call_uuid") if channel.get("call_uuid") != channel.uuid else "",
        channel.get("last_sent_callee_id_name") or "",
        channel.get("last_sent_callee_id_number") or "",
        profile.orig_caller_id_name if profile else "",
        profile.orig_caller_id_number if profile else "",
        profile.network_addr if profile else "",
        channel.initial[0] or (profile.destination if profile else ""),
        channel.initial[1] or (profile.dialplan if profile else ""),
        channel.initial[2] or (profile.context if profile else ""),
    )  # fmt: skip
    return {name: value or "" for name, value in zip(CHANNEL_COLUMNS, values, strict=True)}


_CALL_COLUMNS = (
    "uuid", "direction", "created", "created_epoch", "name", "state", "cid_name", "cid_num", "ip_addr", "dest",
    "presence_id", "presence_data", "accountcode", "callstate", "callee_name", "callee_num", "callee_direction",
    "call_uuid", "hostname", "sent_callee_name", "sent_callee_num",
)  # fmt: skip
_B_COLUMNS = (
    "uuid", "direction", "created", "created_epoch", "name", "state", "cid_name", "cid_num", "ip_addr", "dest",
    "presence_id", "presence_data", "accountcode", "callstate", "callee_name", "callee_num", "callee_direction",
    "sent_callee_name", "sent_callee_num",
)  # fmt: skip


def _call_rows(switch: Switch, *, bridged_only: bool, detailed: bool) -> list[Row]:
    rows: list[Row] = []
    for channel in switch.channels.values():
        other = channel.partner
        if other is not None and channel.other_type != "originatee" and other.other_type == "originatee":
            continue
        if other is None and (bridged_only or channel.get("originator")):
            continue
        own = channel_row(channel)
        row = dict(own) if detailed else {name: own[name] for name in _CALL_COLUMNS}
        theirs = channel_row(other) if other is not None else {}
        for name in CHANNEL_COLUMNS if detailed else _B_COLUMNS:
            row[f"b_{name}"] = theirs.get(name, "")
        row["call_created_epoch"] = (
            str(channel.profile.bridged // 1_000_000) if other and channel.profile else ""
        )
        rows.append(row)
    return rows


def _channels(switch: Switch) -> list[Row]:
    return [channel_row(channel) for channel in switch.channels.values()]


def _calls(switch: Switch) -> list[Row]:
    return _call_rows(switch, bridged_only=False, detailed=False)


def _detailed_calls(switch: Switch) -> list[Row]:
    return _call_rows(switch, bridged_only=False, detailed=True)


def _bridged_calls(switch: Switch) -> list[Row]:
    return _call_rows(switch, bridged_only=True, detailed=False)


def _detailed_bridged_calls(switch: Switch) -> list[Row]:
    return _call_rows(switch, bridged_only=True, detailed=True)


def _registrations(switch: Switch) -> list[Row]:
    return [
        {
            "reg_user": one.user,
            "realm": one.host,
            "token": one.call_id,
            "url": f"sofia/{one.profile}/sip:{one.user}@{one.network_ip}:{one.network_port}",
            "expires": str(one.expires_at),
            "network_ip": one.network_ip,
            "network_port": str(one.network_port),
            "network_proto": "udp",
            "hostname": switch.settings.hostname,
            "metadata": "",
        }
        for one in switch.registrations.values()
    ]


def _nothing(switch: Switch) -> list[Row]:
    return []


def _tasks(switch: Switch) -> list[Row]:
    host = switch.settings.hostname
    names = ("task_id", "task_desc", "task_group", "task_runtime", "task_sql_manager", "hostname")
    # Clearing counters is a task of mod_hash's; the heartbeat has none in the table.
    until = switch.clock.now_us() // 1_000_000 // 900 * 900 + 900
    found = [("3", "limit_hash_cleanup", "mod_hash", str(until), "0", host)]
    found += [
        (str(job.number), job.description, job.group, str(job.runs_at), "0", host)
        for job in switch.scheduler.jobs.values()
    ]
    return [dict(zip(names, row, strict=True)) for row in found]


_INTERFACES = (
    ("codec", "ADPCM (IMA)", "mod_spandsp"), ("codec", "G.711 alaw", "CORE_PCM_MODULE"),
    ("codec", "G.711 ulaw", "CORE_PCM_MODULE"), ("codec", "RAW Signed Linear (16 bit)", "CORE_PCM_MODULE"),
    ("dialplan", "XML", "mod_dialplan_xml"), ("dialplan", "inline", "mod_dptools"),
    ("endpoint", "error", "mod_dptools"), ("endpoint", "group", "mod_dptools"),
    ("endpoint", "loopback", "mod_loopback"), ("endpoint", "null", "mod_loopback"),
    ("endpoint", "pickup", "mod_dptools"), ("endpoint", "sofia", "mod_sofia"), ("endpoint", "user", "mod_dptools"),
    ("file", "tone_stream", "mod_tone_stream"), ("file", "silence_stream", "mod_tone_stream"),
    ("file", "wav", "mod_sndfile"), ("file", "PCMU", "mod_native_file"),
    ("limit", "hash", "mod_hash"), ("timer", "soft", "CORE_SOFTTIMER_MODULE"),
)  # fmt: skip
_HOMES = {
    "conference": "mod_conference",
    "sofia": "mod_sofia",
    "socket": "mod_event_socket",
    "hash": "mod_hash",
}


def interfaces(kind: str = "", module: str = "") -> list[Row]:
    """Return the interfaces of a kind (``codec``, ``api``...) or of a module; everything without either."""
    rows = [dict(zip(("type", "name", "ikey"), one, strict=True)) for one in _INTERFACES]
    for registry, what, home in ((COMMANDS, "api", "mod_commands"), (APPS, "application", "mod_dptools")):
        for name in sorted(registry):
            if name != "sim":
                own = _HOMES.get(name.partition("_")[0], home)
                rows.append({"type": what, "name": name, "ikey": own})
    rows.sort(key=lambda row: (row["type"], row["name"]))
    return [row for row in rows if kind in ("", row["type"]) and module in ("", row["ikey"])]


TABLES: dict[str, Callable[[Switch], list[Row]]] = {
    "channels": _channels,
    "calls": _calls,
    "detailed_calls": _detailed_calls,
    "bridged_calls": _bridged_calls,
    "detailed_bridged_calls": _detailed_bridged_calls,
    "registrations": _registrations,
    "tasks": _tasks,
    "nat_map": _nothing,
    "complete": _nothing,
    "aliases": _nothing,
}
