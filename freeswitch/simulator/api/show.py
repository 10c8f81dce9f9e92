"""``show``: what the core's SQL tables hold about channels, calls, registrations and the rest."""

from freeswitch.simulator.api import Call, command
from freeswitch.simulator.api.core import status_text
from freeswitch.simulator.api.tables import TABLES, Row, channel_row, interfaces
from freeswitch.simulator.switch import Switch
from freeswitch.simulator.timing import Thread
from freeswitch.simulator.wire import json_value

_USAGE = (
    "-USAGE: codec|endpoint|application|api|dialplan|file|timer|calls [count]|channels [count|like <match string>]"
    "|calls|detailed_calls|bridged_calls|detailed_bridged_calls|aliases|complete|chat|management|modules|nat_map|say"
    "|interfaces|interface_types|tasks|limits|status\n"
)


_SLICE = 250
"""So many channels are listed at once."""
_LIKE = ("uuid", "name", "cid_name", "cid_num", "presence_data", "accountcode")
_BY_TYPE = ("codec", "dialplan", "file", "timer", "chat", "limit", "say", "management", "endpoint")


def _like(rows: list[Row], text: str) -> list[Row]:
    wanted = text.strip("%").lower()
    return [row for row in rows if any(wanted in row.get(field, "").lower() for field in _LIKE)]


@command("show")
def show(call: Call) -> "str | Thread":
    words = call.words(6)
    if not words:
        return _USAGE
    if words[0].lower().startswith("status"):
        return status_text(call.switch)
    if not call.switch.settings.sql:
        return "-ERR SQL disabled, no data available!\n"
    name, rest = words[0].lower(), words[1:]
    rows = _interface_rows(name, rest)
    if rows is not None:
        return _written(rows, rest)
    table = TABLES.get(name)
    if table is None:
        return _USAGE
    if name in ("channels", "calls", "registrations") and rest and rest[0].lower() == "count":
        number = len(call.switch.channels) if name == "channels" else len(table(call.switch))
        return _written([], rest[1:], count=number)
    if name == "channels" and len(call.switch.channels) > _SLICE and not call.switch.settings.show_lag_s:
        return _slowly(call.switch, rest)
    return _chosen(name, call.switch.snapshot(name, table), rest)


def _slowly(switch: Switch, rest: list[str]) -> Thread:
    """List thousands of channels a few at a time: the switch goes on meanwhile, as really."""
    rows: list[Row] = []
    channels = list(switch.channels.values())
    for start in range(0, len(channels), _SLICE):
        rows += [channel_row(one) for one in channels[start : start + _SLICE] if one.uuid in switch.channels]
        yield 0.0
    return _chosen("channels", rows, rest)


def _chosen(name: str, rows: list[Row], rest: list[str]) -> str:
    if name == "channels" and len(rest) > 1 and rest[0].lower() == "like":
        return _written(_like(rows, rest[1]), rest[2:])
    return _written(rows, rest)


def _written(rows: list[Row], rest: list[str], count: int | None = None) -> str:
    """Return the rows, or their ``count`` instead, in the form that ``as FORM`` names."""
    if len(rest) < 2 or rest[0].lower() != "as":
        return _lines(rows, ",", count)
    form = rest[1].lower()
    if form in ("delim", "csv"):
        return _lines(rows, rest[2] if len(rest) > 2 else ",", count)
    if form == "json":
        return _json(rows, count)
    if form == "xml":
        return _xml(rows, count)
    return f"-ERR Cannot find format {rest[1]}\n"


def _interface_rows(name: str, rest: list[str]) -> list[Row] | None:
    which = rest[0] if rest and rest[0].lower() != "as" else ""
    for kind in _BY_TYPE:
        if name.startswith(kind):
            return interfaces(name.removesuffix("s") if name != "limits" else "limit")
    if name.startswith("module"):
        if which:
            rest.clear()  # the words after a module's name are not looked at
        return [{**row, "filename": f"{row['ikey']}.so"} for row in interfaces(module=which)]
    if name == "interfaces":
        return interfaces()
    if name in ("application", "api"):
        return [
            {"name": row["name"], "description": row["name"], "syntax": "", "ikey": row["ikey"]}
            for row in interfaces(name)
            if which in ("", row["name"])
        ]
    return None


def _lines(rows: list[Row], delimiter: str, count: int | None) -> str:
    if not rows:
        return f"\n{count or 0} total.\n"
    lines = [delimiter.join(rows[0]) + "\n"]
    lines += [delimiter.join(row.values()) + "\n" for row in rows]
    return "".join(lines) + f"\n{len(rows)} total.\n"


def _json(rows: list[Row], count: int | None) -> str:
    if not rows and count is None:
        return '{"row_count": 0}\n'
    body = ",".join(
        [
            "{" + ",".join([f'"{name}":{json_value(value)}' for name, value in row.items()]) + "}"
            for row in rows
        ]
    )
    return f'{{"row_count":{len(rows) if count is None else count},"rows":[{body}]}}'


def _xml(rows: list[Row], count: int | None) -> str:
    if not rows:
        return f'<result row_count="{count or 0}"/>\n'
    parts = [f'<result row_count="{len(rows)}">\n']
    for n, row in enumerate(rows, 1):
        cells = "".join(f"    <{name}>{_escape(value)}</{name}>\n" for name, value in row.items())
        parts.append(f'  <row row_id="{n}">\n{cells}  </row>\n')
    return "".join([*parts, "</result>\n"])


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
