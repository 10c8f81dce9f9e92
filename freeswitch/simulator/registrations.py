"""SIP registrations: who is where, and the ``sofia::*`` events about it."""

from freeswitch.simulator import origins as at
from freeswitch.simulator.switch import Switch
from freeswitch.simulator.timing import local_text

_REGISTER = at.origin("CUSTOM", "sofia_reg.c", "sofia_reg_handle_register_token", 2059, "sofia::register")
_UNREGISTER = at.origin("CUSTOM", "sofia_reg.c", "sofia_reg_handle_register_token", 2172, "sofia::unregister")
_EXPIRE = at.origin("CUSTOM", "sofia_reg.c", "sofia_reg_del_callback", 726, "sofia::expire")


class Registration:
    """One registered phone."""

    __slots__ = (
        "call_id", "contact", "expires_at", "expires_s", "host", "network_ip", "network_port", "profile", "user",
    )  # fmt: skip

    def __init__(
        self, switch: Switch, user: str, host: str, profile: str, ip: str, port: int, expires_s: int
    ) -> None:
        self.user = user
        self.host = host
        self.profile = profile
        self.network_ip = ip
        self.network_port = port
        self.expires_s = expires_s
        self.call_id = f"1-{switch.rng.randrange(1 << 16)}@{ip}"
        self.contact = f'"" <sip:{user}@{ip}:{port}>'
        # sofia keeps a registration a minute longer than it was asked for.
        self.expires_at = switch.clock.now_us() // 1_000_000 + expires_s + 60

    @property
    def address(self) -> str:
        """``user@host``."""
        return f"{self.user}@{self.host}"


def register(
    switch: Switch, user: str, host: str, *, profile: str = "internal", ip: str = "127.0.0.1", port: int = 5062,
    expires_s: int = 60,
) -> Registration:  # fmt: skip
    """Let a phone register; it expires unless it registers again."""
    one = Registration(switch, user, host, profile, ip, port, expires_s)
    switch.registrations[one.address] = one
    switch.desk.fire(
        _REGISTER,
        before=(
            ("profile-name", profile),
            ("from-user", user),
            ("from-host", host),
            ("presence-hosts", "n/a"),
            ("contact", one.contact),
            ("call-id", one.call_id),
            ("rpid", "unknown"),
            ("status", "Registered(UDP)"),
            ("expires", str(expires_s)),
            ("to-user", user),
            ("to-host", host),
            ("network-ip", ip),
            ("network-port", str(port)),
            ("username", "unknown"),
            ("realm", host),
            ("user-agent", "unknown"),
        ),
    )
    switch.threads.after(expires_s + 60, _maybe_expire, switch, one)
    return one


def _maybe_expire(switch: Switch, one: Registration) -> None:
    if switch.registrations.get(one.address) is one:
        expire(switch, one)


def unregister(switch: Switch, address: str) -> bool:
    """Let a phone sign off. False when it was not there."""
    one = switch.registrations.pop(address, None)
    if one is None:
        return False
    switch.desk.fire(
        _UNREGISTER,
        before=(
            ("profile-name", one.profile),
            ("from-user", one.user),
            ("from-host", one.host),
            ("contact", one.contact),
            ("call-id", one.call_id),
            ("rpid", "unknown"),
            ("expires", "0"),
        ),
    )
    return True


def expire(switch: Switch, one: Registration) -> None:
    """Forget a phone that did not come back, or was flushed."""
    switch.registrations.pop(one.address, None)
    switch.desk.fire(
        _EXPIRE,
        before=(
            ("profile-name", one.profile),
            ("call-id", one.call_id),
            ("user", one.user),
            ("username", one.user),
            ("host", one.host),
            ("contact", one.contact),
            ("expires", str(one.expires_at)),
            ("user-agent", "unknown"),
            ("realm", one.host),
            ("network-ip", one.network_ip),
            ("network-port", str(one.network_port)),
        ),
    )
    port = switch.sip_port(one.profile)
    switch.desk.fire(
        at.PRESENCE_UNREGISTER,
        before=(
            ("proto", "sip"),
            ("rpid", "away"),
            ("login", f"sip:mod_sofia@{switch.settings.ipv4}:{port}"),
            ("user-agent", "Registered(UDP)"),
            ("from", one.address),
            ("status", "Unregistered"),
            ("event_type", "presence"),
        ),
    )


def listing(switch: Switch, profile: str) -> str:
    """Return ``sofia status profile X reg``."""
    line = "=" * 97
    text = f"\nRegistrations:\n{line}\n"
    found = [one for one in switch.registrations.values() if one.profile == profile]
    for one in found:
        until = local_text(one.expires_at * 1_000_000)
        left = one.expires_at - switch.clock.now_us() // 1_000_000
        text += (
            f"Call-ID:    \t{one.call_id}\nUser:       \t{one.address}\nContact:    \t{one.contact}\n"
            f"Agent:      \tunknown\nStatus:     \tRegistered(UDP)(unknown) EXP({until}) EXPSECS({left})\n"
            f"Ping-Status:\tReachable\nPing-Time:\t0.00\nHost:       \t{switch.settings.switchname}\n"
            f"IP:         \t{one.network_ip}\nPort:       \t{one.network_port}\nAuth-User:  \tunknown\n"
            f"Auth-Realm: \t{one.host}\nMWI-Account:\t{one.address}\n\n"
        )
    return f"{text}Total items returned: {len(found)}\n{line}\n"
