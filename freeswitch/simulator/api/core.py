"""Commands about the switch itself: status, version, names, time."""

import json
from typing import Any

from freeswitch.simulator import origins as at
from freeswitch.simulator.api import Call, command
from freeswitch.simulator.settings import VERSION, VERSION_FULL, VERSION_HUMAN
from freeswitch.simulator.switch import Switch
from freeswitch.simulator.timing import Thread

_UNITS_US = {"us": 1, "ms": 1000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


@command("status")
def status(call: Call) -> str:
    return status_text(call.switch)


def status_text(sw: Switch) -> str:
    """Return what ``status`` answers."""
    ready = "ready" if sw.ready else "not ready"
    return (
        f"UP {sw.uptime_text()}\n"
        f"FreeSWITCH (Version {VERSION} {VERSION_HUMAN}) is {ready}\n"
        f"{sw.sessions_since_startup} session(s) since startup\n"
        f"{len(sw.channels)} session(s) - peak {sw.sessions_peak}, last 5min {sw.sessions_peak_five} \n"
        f"{sw.current_sps()} session(s) per Sec out of max {sw.sps}, peak {sw.sps_peak}, last 5min {sw.sps_peak_five} \n"
        f"{sw.max_sessions} session(s) max\n"
        f"min idle cpu {sw.min_idle_cpu:.2f}/{sw.idle_cpu():.2f}\n"
        "Current Stack Size/Max 240K/8192K\n"
    )


@command("version")
def version(call: Call) -> str:
    if call.argument == "short":
        return f"{VERSION}\n"
    return f"FreeSWITCH Version {VERSION_FULL} ({VERSION_HUMAN})\n"


@command("uptime")
def uptime(call: Call) -> str:
    us = call.switch.uptime_us()
    return f"{us // _UNITS_US.get(call.argument or 's', 1_000_000)}\n"


@command("hostname")
def hostname(call: Call) -> str:
    return call.switch.settings.hostname


@command("switchname")
def switchname(call: Call) -> str:
    return call.switch.settings.switchname


@command("msleep")
def msleep(call: Call) -> Thread:
    if call.argument.isdigit():
        deadline = call.switch.monotonic() + int(call.argument) / 1000
        while (left := deadline - call.switch.monotonic()) > 0:
            yield left
    return "+OK"


@command("create_uuid")
def create_uuid(call: Call) -> str:
    return call.switch.new_uuid()


@command("reloadxml")
def reloadxml(call: Call) -> str:
    call.switch.desk.fire(at.RELOADXML)
    return "+OK [Success]\n"


@command("reloadacl")
def reloadacl(call: Call) -> str:
    return "+OK acl reloaded\n"


@command("timer_test")
def timer_test(call: Call) -> Thread:
    """Run a timer of 20 ms fifty times."""
    began = call.switch.monotonic()
    yield 1.0
    took_ms = (call.switch.monotonic() - began) * 1000
    return f"Avg: {took_ms / 50:.3f}ms Total Time: {took_ms:.3f}ms\n"


@command("json")
def json_request(call: Call) -> str:
    """``json {"command":"status"}``: the requests monitors use; the others are unknown here."""
    if not call.argument:
        return "-ERR No JSON supplied.\n"
    try:
        asked: Any = json.loads(call.argument)
    except ValueError:
        return "-ERR Parse error.\n"
    name = asked.get("command") if isinstance(asked, dict) else None
    data = asked.get("data") if isinstance(asked, dict) else None
    if name != "status" or data is None:
        answer: dict[str, Any] = {
            "command": name,
            "status": "error",
            "message": "Invalid request or non-existant command",
            "response": None,
        }
    else:
        answer = {"command": "status", "data": data, "status": "success", "response": _status(call.switch)}
    return json.dumps(answer, separators=(",", ":"), ensure_ascii=False) + "\n"


def _status(sw: Switch) -> dict[str, Any]:
    return {
        "systemStatus": "ready",
        "uptime": {"microseconds": sw.uptime_us()},
        "version": f"{VERSION} {VERSION_HUMAN}",
        "sessions": {
            "count": {
                "total": sw.sessions_since_startup,
                "active": len(sw.channels),
                "peak": sw.sessions_peak,
                "peak5Min": sw.sessions_peak_five,
                "limit": sw.max_sessions,
            },
            "rate": {
                "current": sw.current_sps(),
                "max": sw.sps,
                "peak": sw.sps_peak,
                "peak5Min": sw.sps_peak_five,
            },
        },
        "idleCPU": {"used": sw.min_idle_cpu, "allowed": round(sw.idle_cpu(), 6)},
        "stackSizeKB": {"current": 240, "max": 8192},
    }
