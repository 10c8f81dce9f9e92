"""``sofia status``, ``xmlstatus`` and ``jsonstatus``: profiles, gateways and registrations as text, XML and JSON."""

from freeswitch.simulator import registrations
from freeswitch.simulator.api.room_lists import Json, cjson
from freeswitch.simulator.switch import Switch

_LINE = "=" * 97 + "\n"
_XML = '<?xml version="1.0" encoding="ISO-8859-1"?>\n'


def _url(switch: Switch, profile: str) -> str:
    return f"sip:mod_sofia@{switch.settings.ipv4}:{switch.sip_port(profile)}"


def status(switch: Switch, rest: list[str]) -> str:
    """Return ``sofia status [profile NAME [reg] | gateway [NAME]]``."""
    if not rest:
        text = f"{'Name':>25s}\t{'Type':>7s}\t{'Data':>42s}\tState\n{_LINE}"
        for name in sorted(switch.profiles):
            live = sum(1 for one in switch.channels.values() if one.name.startswith(f"sofia/{name}/"))
            text += f"{name:>25s}\tprofile\t{_url(switch, name):>42s}\tRUNNING ({live})\n"
        count = len(switch.profiles)
        return f"{text}{_LINE}{count} profile{'' if count == 1 else 's'} 0 aliases\n"
    if rest[0].lower() == "profile" and len(rest) > 1:
        if rest[1] not in switch.profiles:
            return "Invalid Profile!\n"
        if len(rest) > 2 and rest[2].lower() == "reg":
            return registrations.listing(switch, rest[1])
        return _LINE + "".join(
            f"{title:<17s}\t{value}\n" for title, _, value in _facts(switch, rest[1]) if title
        )
    if rest[0].lower() == "gateway" and len(rest) > 1:
        if rest[1] not in switch.gateways:
            return "Invalid Gateway!\n"
        profile, where = switch.gateways[rest[1]]
        return (
            f"{_LINE}Name    \t{rest[1]}\nProfile \t{profile}\nScheme  \tDigest\nRealm   \t{where}\n"
            f"State   \tNOREG\nStatus  \tUP\n{_LINE}"
        )
    text = (
        "    Profile::Gateway-Name\t                        Data    \tState\tPing Time\t"
        f"IB Calls(F/T)\tOB Calls(F/T)\n{_LINE}"
    )
    for name, (profile, where) in switch.gateways.items():
        text += f"{profile + '::' + name:>25s}\t{'sip:' + where:>32s}\tNOREG\t0.00\t0/0\t0/0\n"
    return f"{text}{_LINE}{len(switch.gateways)} gateways: Inbound(Failed/Total): 0/0,Outbound(Failed/Total):0/0\n"


def _facts(switch: Switch, name: str) -> list[tuple[str, str, str]]:
    ip = switch.settings.ipv4
    url = _url(switch, name)
    context = "default" if name in ("internal", "external") else name
    count = sum(1 for one in switch.registrations.values() if one.profile == name)
    return [
        ("Name             ", "name", name),
        ("Domain Name      ", "domain-name", "N/A"),
        ("Auto-NAT         ", "auto-nat", "false"),
        ("DBName           ", "db-name", f"sofia_reg_{name}"),
        ("Pres Hosts       ", "pres-hosts", ""),
        ("Dialplan         ", "dialplan", "XML"),
        ("Context          ", "context", context),
        ("Challenge Realm  ", "challenge-realm", "auto_to"),
        ("RTP-IP           ", "rtp-ip", ip),
        ("SIP-IP           ", "sip-ip", ip),
        ("URL              ", "url", url),
        ("BIND-URL         ", "bind-url", f"{url};transport=udp,tcp"),
        ("HOLD-MUSIC       ", "hold-music", "N/A"),
        ("OUTBOUND-PROXY   ", "outbound-proxy", "N/A"),
        ("CODECS IN        ", "inbound-codecs", "PCMU,PCMA"),
        ("CODECS OUT       ", "outbound-codecs", "PCMU,PCMA"),
        ("TEL-EVENT        ", "tel-event", "101"),
        ("DTMF-MODE        ", "dtmf-mode", "rfc2833"),
        ("CNG              ", "cng", "13"),
        ("SESSION-TO       ", "session-to", "0"),
        ("MAX-DIALOG       ", "max-dialog", "0"),
        ("MAX-RECV-RPS     ", "max-recv-rps", "1000"),
        ("NOMEDIA          ", "nomedia", "false"),
        ("LATE-NEG         ", "late-neg", "false"),
        ("PROXY-MEDIA      ", "proxy-media", "false"),
        ("AGGRESSIVENAT    ", "aggressive-nat", "false"),
        ("CALLS-IN         ", "calls-in", str(switch.calls_in.get(name, 0))),
        ("FAILED-CALLS-IN  ", "failed-calls-in", "0"),
        ("CALLS-OUT        ", "calls-out", str(switch.calls_out.get(name, 0))),
        ("FAILED-CALLS-OUT ", "failed-calls-out", "0"),
        ("REGISTRATIONS    ", "registrations", str(count)),
    ]


def xmlstatus(switch: Switch, rest: list[str]) -> str:
    """Return ``sofia xmlstatus ...``; empty for words it does not know."""
    if not rest:
        profiles = "".join(
            f"<profile>\n<name>{name}</name>\n<type>profile</type>\n<data>{_url(switch, name)}</data>\n"
            "<state>RUNNING (0)</state>\n</profile>\n"
            for name in sorted(switch.profiles)
        )
        return f"{_XML}<profiles>\n{profiles}</profiles>\n"
    kind = rest[0].lower()
    if kind == "profile" and len(rest) > 1:
        if rest[1] not in switch.profiles:
            return "Invalid Profile!\n"
        if len(rest) > 2 and rest[2].lower() == "reg":
            return f"{_XML}<profile>\n  <registrations>\n{_xml_registrations(switch, rest[1])}  </registrations>\n</profile>\n"
        order = {
            "calls-in": 0,
            "calls-out": 1,
            "failed-calls-in": 2,
            "failed-calls-out": 3,
            "registrations": 4,
        }
        facts = sorted(_facts(switch, rest[1]), key=lambda fact: order.get(fact[1], -1))
        body = "".join(f"    <{tag}>{value}</{tag}>\n" for _, tag, value in facts)
        return f"{_XML}<profile>\n  <profile-info>\n{body}  </profile-info>\n</profile>\n"
    if kind == "gateway":
        if len(rest) > 1 and rest[1] not in switch.gateways:
            return "Invalid Gateway!\n"
        wanted = rest[1:2] or list(switch.gateways)
        body = "".join(
            f"  <gateway>\n    <name>{name}</name>\n    <profile>{switch.gateways[name][0]}</profile>\n"
            f"    <proxy>sip:{switch.gateways[name][1]}</proxy>\n    <state>NOREG</state>\n    <status>UP</status>\n"
            "  </gateway>\n"
            for name in wanted
        )
        return f"{_XML}{body}" if rest[1:2] else f"{_XML}<gateways>\n{body}</gateways>\n"
    return ""


def _xml_registrations(switch: Switch, profile: str) -> str:
    text = ""
    for one in switch.registrations.values():
        if one.profile == profile:
            text += (
                f"    <registration>\n        <call-id>{one.call_id}</call-id>\n        <user>{one.address}</user>\n"
                f"        <network-ip>{one.network_ip}</network-ip>\n"
                f"        <network-port>{one.network_port}</network-port>\n    </registration>\n"
            )
    return text


def jsonstatus(switch: Switch) -> str:
    """Return every profile as ``sofia jsonstatus`` prints them, whatever else was asked for."""
    profiles: dict[str, Json] = {}
    for name in sorted(switch.profiles):
        facts: dict[str, Json] = {tag: value for _, tag, value in _facts(switch, name)[1:14]}
        facts["rtp-ip"] = [switch.settings.ipv4]
        ordered: dict[str, Json] = {}
        for tag, value in facts.items():
            ordered[tag] = "" if tag == "hold-music" else value
            if tag == "sip-ip":
                ordered["ext-sip-ip"] = ""
        live = sum(1 for one in switch.channels.values() if one.name.startswith(f"sofia/{name}/"))
        state: dict[str, Json] = {
            "type": "profile",
            "state": "RUNNING",
            "in-use": live,
            "data": _url(switch, name),
        }
        profiles[name] = {"status": state, "info": ordered}
    return cjson({"profiles": profiles}) + "\n"
