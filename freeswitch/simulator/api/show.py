"""``show``: what the core's SQL tables hold about channels, calls, registrations and the rest."""

import json
from collections.abc import Callable

from freeswitch.simulator.api import Call, command
from freeswitch.simulator.channel import Channel
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


def channel_row(channel: Channel) -> Row:
    """Return a channel's row of the table ``channels``."""
    profile = channel.profile
    created = local_text(channel.created_us)
    codec, rate, bits = ("", "", "")
    if channel.codec:
        codec, rate, bits = channel.codec, "8000", {"PCMU": "64000", "L16": "128000"}[channel.codec]
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
        codec, rate, bits, codec, rate, bits,
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
    rows = [{"task_id": "1", "task_desc": "heartbeat", "task_group": "core", "task_runtime": "0",
             "task_sql_manager": "0", "hostname": switch.settings.hostname}]  # fmt: skip
    for job in switch.jobs.values():
        rows.append(
            {
                "task_id": str(job.number),
                "task_desc": job.description,
                "task_group": job.group,
                "task_runtime": str(job.runs_at),
                "task_sql_manager": "0",
                "hostname": switch.settings.hostname,
            }
        )
    return rows


_TABLES: dict[str, Callable[[Switch], list[Row]]] = {
    "channels": _channels,
    "calls": _calls,
    "distinct_channels": _channels,
    "detailed_calls": _detailed_calls,
    "bridged_calls": _bridged_calls,
    "detailed_bridged_calls": _bridged_calls,
    "registrations": _registrations,
    "tasks": _tasks,
    "nat_map": _nothing,
    "complete": _nothing,
    "limits": _nothing,
}
_USAGE = (
    "-USAGE: codec|endpoint|application|api|dialplan|file|timer|calls [count]|channels [count|like <match string>]"
    "|calls|detailed_calls|bridged_calls|detailed_bridged_calls|aliases|complete|chat|management|modules|nat_map|say"
    "|interfaces|interface_types|tasks|limits|status\n"
)


def _like(rows: list[Row], text: str) -> list[Row]:
    wanted = text.strip("%").lower()
    fields = ("uuid", "name", "cid_name", "cid_num", "presence_data", "accountcode")
    return [row for row in rows if any(wanted in row.get(field, "").lower() for field in fields)]


@command("show")
def show(call: Call) -> str:
    words = call.words()
    if not words:
        return _USAGE
    if words[0].lower() == "status":
        from freeswitch.simulator.api.core import status_text

        return status_text(call.switch)
    if not call.switch.settings.sql:
        return "-ERR SQL disabled, no data available!\n"
    name = words[0].lower()
    if name.rstrip("s") == "modul" or name in (
        "modules",
        "api",
        "application",
        "codec",
        "endpoint",
        "dialplan",
    ):
        return _interfaces(name, words)
    table = _TABLES.get(name)
    if table is None:
        return _USAGE
    rows = call.switch.snapshot(name, table)
    count = False
    if len(words) > 1 and words[1].lower() == "count":
        count = True
    elif len(words) > 2 and words[1].lower() == "like":
        rows = _like(rows, words[2])
    form = (
        words[words.index("as") + 1].lower() if "as" in words and words.index("as") + 1 < len(words) else ""
    )
    return _render(rows, form, count=count)


def _render(rows: list[Row], form: str, *, count: bool) -> str:
    if form == "json":
        if count:
            return json.dumps({"row_count": len(rows), "rows": []}, separators=(",", ":")) + "\n" if rows else '{"row_count":0}\n'  # fmt: skip
        answer: dict[str, object] = {"row_count": len(rows)}
        if rows:
            answer["rows"] = rows
        return json.dumps(answer, separators=(",", ":"), ensure_ascii=False) + "\n"
    if form == "xml":
        lines = [f'<result row_count="{len(rows)}">\n']
        for n, row in enumerate(rows, 1):
            cells = "".join(f"    <{k}>{_xml(v)}</{k}>\n" for k, v in row.items())
            lines.append(f'  <row row_id="{n}">\n{cells}  </row>\n')
        return "".join([*lines, "</result>\n"])
    if count:
        return f"\n{len(rows)} total.\n"
    if not rows:
        return "\n0 total.\n"
    lines = [",".join(rows[0]) + "\n"]
    lines += [",".join(row.values()) + "\n" for row in rows]
    return "".join(lines) + f"\n{len(rows)} total.\n"


def _xml(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _interfaces(name: str, words: list[str]) -> str:
    """List a few modules: enough for a client that checks whether one is loaded."""
    rows = [
        {"type": "api", "name": "status", "ikey": "mod_commands", "filename": "mod_commands.so"},
        {"type": "application", "name": "bridge", "ikey": "mod_dptools", "filename": "mod_dptools.so"},
        {"type": "endpoint", "name": "sofia", "ikey": "mod_sofia", "filename": "mod_sofia.so"},
        {
            "type": "application",
            "name": "conference",
            "ikey": "mod_conference",
            "filename": "mod_conference.so",
        },
        {"type": "codec", "name": "G.711 ulaw", "ikey": "CORE_PCM_MODULE", "filename": ""},
    ]
    if not name.startswith("mod"):
        rows = [row for row in rows if row["type"] == name]
    form = (
        words[words.index("as") + 1].lower() if "as" in words and words.index("as") + 1 < len(words) else ""
    )
    return _render(rows, form, count=False)
