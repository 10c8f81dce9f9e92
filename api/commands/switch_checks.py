"""What `irisx doctor` asks a FreeSWITCH: may we come in, and is it set up so that control works.

Its settings are read from its own running configuration (``xml_locate``), not from files.
"""

import re
import time
from xml.etree import ElementTree

import trio

from api.commands.checks import CLOCK_S, Finding
from core.config import SwitchAddress
from freeswitch.endpoint import Endpoint
from freeswitch.errors import AuthRefused, EslError
from freeswitch.link import Link, open_link

TRY_S = 5.0
DEFAULT_PASSWORD = "ClueCon"  # noqa: S105 - the one that every FreeSWITCH comes with
HEARTBEAT_MOST_S = 5
"""A dead switch is noticed after a few heartbeats; FreeSWITCH's own default is 20 s."""
MODULES = ("mod_sofia", "mod_dptools", "mod_commands", "mod_conference", "mod_sndfile", "mod_tone_stream")
TESTED = "1.10.12"


def switch(address: SwitchAddress) -> list[Finding]:
    """Everything about one switch."""
    return trio.run(_switch, address)


async def _switch(address: SwitchAddress) -> list[Finding]:
    area = f"switch {address.name}"
    try:
        endpoint = Endpoint.parse(address.url)
        with trio.fail_after(4 * TRY_S):
            async with open_link(endpoint, limit_s=TRY_S) as link:
                return await _look(link, endpoint, area)
    except AuthRefused as refused:
        return [Finding(area, "bad", f"{endpoint} does not let us in: {refused}", _door_remedy(str(refused)))]
    except EslError as error:
        remedy = "is it running, does mod_event_socket listen there (listen-ip), is a firewall between?"
        return [Finding(area, "bad", str(error), remedy)]
    except trio.TooSlowError:
        text = f"{endpoint} answers too slowly"
        return [
            Finding(
                area,
                "bad",
                text,
                "another client of it may have stopped reading: see fsctl, netstat on the switch",
            )
        ]


def _door_remedy(reason: str) -> str:
    if "acl" in reason.lower() or "access" in reason.lower() or "rude" in reason.lower():
        return "add this machine's network to apply-inbound-acl of event_socket.conf (irisx freeswitch-config --controllers)"
    return "check the password in the switch's address against event_socket.conf"


async def _look(link: Link, endpoint: Endpoint, area: str) -> list[Finding]:
    began = time.monotonic()
    said = await link.api("version", deadline_s=TRY_S)
    took = time.monotonic() - began
    found_version = re.search(r"\d+\.\d+\.\d+", said)
    number = found_version[0] if found_version else "of unknown version"
    found = [Finding(area, "good", f"FreeSWITCH {number} at {endpoint}, asked in {took * 1000:.1f} ms")]
    if number != TESTED:
        found.append(
            Finding(area, "attention", f"IRISX is tested with {TESTED}", "try yours on a test machine first")
        )
    found += await _event_socket(link, area)
    found += await _core(link, area)
    found += await _modules(link, area)
    found += await _clock(link, area)
    return found


async def _params(link: Link, name: str) -> dict[str, str]:
    """The parameters of one of the switch's configuration sections; empty when it does not tell."""
    try:
        text = await link.api(f"xml_locate configuration configuration name {name}", deadline_s=TRY_S)
        root = ElementTree.fromstring(text)  # noqa: S314 - from the switch we run; expat here expands no external entity
    except (EslError, ElementTree.ParseError):
        return {}
    return {param.get("name", ""): param.get("value", "") for param in root.iter("param")}


async def _event_socket(link: Link, area: str) -> list[Finding]:
    params = await _params(link, "event_socket.conf")
    if not params:
        # Only a switch without mod_commands, or the simulator, has no xml_locate.
        return [Finding(area, "good", "it does not tell its settings: a simulated switch does not")]
    found = []
    where = params.get("listen-ip", "127.0.0.1")
    open_to_all = where in ("0.0.0.0", "::")  # noqa: S104
    acl = params.get("apply-inbound-acl", "")
    if params.get("password", DEFAULT_PASSWORD) == DEFAULT_PASSWORD:
        text = f"the Event Socket on {where} has the password that everybody knows"
        remedy = "set another in event_socket.conf, reload mod_event_socket, change the address here"
        found.append(Finding(area, "bad", text, remedy))
    if open_to_all and not acl:
        text = f"the Event Socket listens on {where} and only the default list (loopback.auto) guards it"
        found.append(Finding(area, "attention", text, "name the controllers' networks in apply-inbound-acl"))
    if not found:
        found.append(
            Finding(area, "good", f"Event Socket on {where}, list {acl or 'loopback.auto'}, own password")
        )
    return found


async def _core(link: Link, area: str) -> list[Finding]:
    params = await _params(link, "switch.conf")
    if not params:
        return []
    beat = int(params.get("event-heartbeat-interval", "20"))
    sessions, rate = params.get("max-sessions", "1000"), params.get("sessions-per-second", "30")
    found = []
    if beat > HEARTBEAT_MOST_S:
        text = f"a heartbeat each {beat} s: its death is noticed late"
        found.append(Finding(area, "attention", text, "event-heartbeat-interval 1 in switch.conf"))
    found.append(
        Finding(
            area, "good", f"heartbeat each {beat} s, at most {sessions} sessions, {rate} new ones a second"
        )
    )
    return found


async def _modules(link: Link, area: str) -> list[Finding]:
    missing = []
    for module in MODULES:
        try:
            if (await link.api(f"module_exists {module}", deadline_s=TRY_S)).strip() != "true":
                missing.append(module)
        except EslError:
            missing.append(module)
    if missing:
        return [
            Finding(
                area, "bad", f"modules are missing: {', '.join(missing)}", "load them in modules.conf.xml"
            )
        ]
    return [Finding(area, "good", "all modules that are needed are loaded")]


async def _clock(link: Link, area: str) -> list[Finding]:
    said = (await link.api("strepoch", deadline_s=TRY_S)).strip()
    skew = int(said) - time.time() if said.isdigit() else 0.0
    # It says whole seconds, so up to one of them is rounding.
    if not -1 - CLOCK_S < skew < CLOCK_S:
        text = f"its clock differs by about {skew:.0f} s from ours: times of calls will not fit"
        return [Finding(area, "attention", text, "run chrony or systemd-timesyncd on both")]
    return []
