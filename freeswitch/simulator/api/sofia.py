"""``sofia`` and its relatives."""

from freeswitch.simulator import origins as at
from freeswitch.simulator import recovery, registrations
from freeswitch.simulator.api import Call, command
from freeswitch.simulator.switch import Switch

_LINE = "=" * 97 + "\n"
_USAGE = (
    "USAGE:\n" + "-" * 80 + "\nsofia global siptrace <on|off>\n"
    "sofia <status|xmlstatus> profile <name> [reg]\nsofia <status|xmlstatus> gateway <name>\n"
    "sofia profile <name> [start | stop | restart | rescan | recover]\nsofia recover [flush]\n"
    + "-" * 80
    + "\n"
)
_XML = '<?xml version="1.0" encoding="ISO-8859-1"?>\n'


@command("sofia")
def sofia(call: Call) -> str:
    words = call.words()
    if not words:
        return _USAGE
    verb, rest = words[0].lower(), words[1:]
    if verb == "status":
        return _status(call.switch, rest)
    if verb == "xmlstatus":
        return _xmlstatus(call.switch, rest)
    if verb == "profile":
        return _profile(call.switch, rest)
    if verb == "recover":
        return _recover(call.switch, rest)
    if verb == "global":
        return _global(call.switch, rest)
    if verb == "loglevel":
        name, level = [*rest, "all", "0"][:2]
        return f"Sofia log level for component [{name}] has been set to [{level}]"
    return _USAGE


def _url(switch: Switch, profile: str) -> str:
    return f"sip:mod_sofia@{switch.settings.ipv4}:{switch.sip_port(profile)}"


def _status(switch: Switch, rest: list[str]) -> str:
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


def _xmlstatus(switch: Switch, rest: list[str]) -> str:
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
    return _USAGE


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


def _profile(switch: Switch, rest: list[str]) -> str:
    if len(rest) < 2:
        return "Invalid Args!\n"
    name, verb, more = rest[0], rest[1].lower(), rest[2:]
    # The profile a standby takes over may be one that only the other half ran.
    strange = verb == "start" or (verb == "recover" and bool(recovery.waiting(switch, name)))
    if name not in switch.profiles and not strange:
        return f"Invalid Profile [{name}]"
    if verb == "flush_inbound_reg":
        wanted = more[0] if more else ""
        for one in list(switch.registrations.values()):
            if one.profile == name and wanted in ("", one.call_id, one.address):
                switch.threads.after(0.1, registrations.expire, switch, one)
        return f"+OK flushing all registrations{' matching specified call_id' if wanted else ''}\n"
    if verb == "rescan":
        switch.desk.fire(at.RELOADXML)
        return "Reload XML [Success]\n+OK scan complete\n"
    if verb in ("start", "restart", "stop"):
        switch.desk.fire(at.RELOADXML)
        if verb == "stop":
            switch.profiles.discard(name)
            return f"Reload XML [Success]\nstopping: {name}"
        switch.profiles.add(name)
        word = "started successfully" if verb == "start" else "restarted"
        return f"Reload XML [Success]\n{name} {word}\n" if verb == "start" else f"Reload XML [Success]\nrestarting: {name}"  # fmt: skip
    if verb == "recover":
        if more and more[0].lower() == "flush":
            recovery.flush(switch, name)
            return "Flushing recovery database.\n"
        count = recovery.recover(switch, name)
        return f"Recovered {count} session(s)\n" if count else "No sessions to recover.\n"
    if verb == "killgw":
        if not more:
            return "-ERR missing gw name\n"
        if switch.gateways.pop(more[0], None) is None:
            return "-ERR no such gateway.\n"
        return "+OK gateway marked for deletion.\n"
    if verb == "siptrace":
        on = bool(more) and more[0].lower() == "on"
        return f"{'Enabled' if on else 'Disabled'} sip debugging on {name}"
    return "-ERR Unknown command!\n"


def _recover(switch: Switch, rest: list[str]) -> str:
    if rest and rest[0].lower() == "flush":
        recovery.flush(switch, "")
        return "Flushing recovery database.\n"
    count = recovery.recover(switch, "")
    return f"Recovered {count} call(s)\n" if count else "No calls to recover.\n"


def _global(switch: Switch, rest: list[str]) -> str:
    if len(rest) > 1 and rest[0].lower() == "standby":
        switch.standby = rest[1].lower() == "on"
        return f"+OK Global standby {'on' if switch.standby else 'off'}"
    if rest and rest[0].lower() == "debug":
        return "+OK Debugging summary: presence: off sla: off\n"
    return "-ERR Usage: siptrace <on|off>|capture <on|off>|watchdog <on|off>|debug <sla|presence|none"


@command("sofia_contact")
def sofia_contact(call: Call) -> str:
    address = call.argument.rpartition("/")[2]
    if "@" not in address:
        address = f"{address}@{call.switch.settings.ipv4}"
    one = call.switch.registrations.get(address)
    if one is None:
        return "error/user_not_registered"
    return f"sofia/{one.profile}/sip:{one.user}@{one.network_ip}:{one.network_port}"


@command("sofia_count_reg")
def sofia_count_reg(call: Call) -> str:
    return "1" if call.argument in call.switch.registrations else "-1"


@command("verto_contact")
def verto_contact(call: Call) -> str:
    return "error/user_not_registered"


@command("list_users")
def list_users(call: Call) -> str:
    head = (
        "userid|context|domain|group|contact|callgroup|effective_caller_id_name|effective_caller_id_number\n"
    )
    lines = ""
    for address in call.switch.settings.directory:
        user, _, domain = address.partition("@")
        lines += f"{user}||{domain}||{sofia_contact(Call(call.switch, 'sofia_contact', address))}|||\n"
    return f"{head}{lines}\n+OK\n"
