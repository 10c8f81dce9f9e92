"""``show``: what the core's SQL tables hold about channels, calls, registrations and the rest."""

import json

from freeswitch.simulator.api import Call, command
from freeswitch.simulator.api.core import status_text
from freeswitch.simulator.api.tables import TABLES, Row, interfaces

_USAGE = (
    "-USAGE: codec|endpoint|application|api|dialplan|file|timer|calls [count]|channels [count|like <match string>]"
    "|calls|detailed_calls|bridged_calls|detailed_bridged_calls|aliases|complete|chat|management|modules|nat_map|say"
    "|interfaces|interface_types|tasks|limits|status\n"
)


_LIKE = ("uuid", "name", "cid_name", "cid_num", "presence_data", "accountcode")
_BY_TYPE = ("codec", "dialplan", "file", "timer", "chat", "limit", "say", "management", "endpoint")


def _like(rows: list[Row], text: str) -> list[Row]:
    wanted = text.strip("%").lower()
    return [row for row in rows if any(wanted in row.get(field, "").lower() for field in _LIKE)]


@command("show")
def show(call: Call) -> str:
    words = call.words(6)
    if not words:
        return _USAGE
    if words[0].lower().startswith("status"):
        return status_text(call.switch)
    if not call.switch.settings.sql:
        return "-ERR SQL disabled, no data available!\n"
    name, rest = words[0].lower(), words[1:]
    rows = _interface_rows(name, rest)
    count = False
    if rows is None:
        table = TABLES.get(name)
        if table is None:
            return _USAGE
        rows = call.switch.snapshot(name, table)
        if name in ("channels", "calls", "registrations") and rest and rest[0].lower() == "count":
            count = True
            rest = rest[1:]
        elif name == "channels" and len(rest) > 1 and rest[0].lower() == "like":
            rows = _like(rows, rest[1])
            rest = rest[2:]
    if len(rest) < 2 or rest[0].lower() != "as":
        return _lines(rows, ",", count=count)
    form = rest[1].lower()
    if form in ("delim", "csv"):
        return _lines(rows, rest[2] if len(rest) > 2 else ",", count=count)
    if form == "json":
        return _json(rows, count=count)
    if form == "xml":
        return _xml(rows, count=count)
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


def _lines(rows: list[Row], delimiter: str, *, count: bool) -> str:
    if count or not rows:
        return f"\n{len(rows)} total.\n"
    lines = [delimiter.join(rows[0]) + "\n"]
    lines += [delimiter.join(row.values()) + "\n" for row in rows]
    return "".join(lines) + f"\n{len(rows)} total.\n"


def _json(rows: list[Row], *, count: bool) -> str:
    if not rows and not count:
        return '{"row_count": 0}\n'
    answer = {"row_count": len(rows), "rows": [] if count else rows}
    return json.dumps(answer, separators=(",", ":"), ensure_ascii=False)


def _xml(rows: list[Row], *, count: bool) -> str:
    if count or not rows:
        return f'<result row_count="{len(rows)}"/>\n'
    parts = [f'<result row_count="{len(rows)}">\n']
    for n, row in enumerate(rows, 1):
        cells = "".join(f"    <{name}>{_escape(value)}</{name}>\n" for name, value in row.items())
        parts.append(f'  <row row_id="{n}">\n{cells}  </row>\n')
    return "".join([*parts, "</result>\n"])


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
