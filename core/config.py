"""What a process is told from outside: environment variables, read once, in one place.

Every process of IRISX takes the same variables, so ``irisx up`` can hand its children what it decided
(`Settings.environment`) and a carrier's unit files need no second vocabulary. Nothing here looks at the network
or the disk except `load_secret`, which makes the secret of an installation that was given none.
"""

import os
import secrets
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

from core.errors import RequestError

INSIDE_PORT = 5080
MIN_SECRET = 16
"""Characters. Keys of 256 bits are derived from it; less than this can be searched."""


class ConfigError(RequestError):
    """A variable says something we cannot follow. The message names the variable, never a secret in it."""

    code = "bad_configuration"


class SwitchAddress(Struct, frozen=True):
    """One switch as the operator wrote it: ``name=esl://user:password@host:port``."""

    name: str
    url: str

    def __repr__(self) -> str:
        return f"SwitchAddress({self.name!r}, {hide_password(self.url)!r})"


class AttachmentLimits(Struct, frozen=True):
    """How much may come with one message, and be uploaded for one."""

    file_bytes: int = 50 << 20
    message_bytes: int = 100 << 20
    """Of all files of a message together."""
    files: int = 250
    """Of one message; the first so many are kept, of the others only that they were there."""


class Settings(Struct, frozen=True, kw_only=True):
    """Everything a process of IRISX can be told. An empty text means "not given"."""

    database_url: str = ""
    redis_url: str = ""
    s3_endpoint: str = ""
    s3_bucket: str = ""
    s3_access_key: str = ""
    s3_secret_key: str = ""
    s3_region: str = ""
    blobs_dir: Path | None = None
    """Where objects are kept when there is no S3; by default a folder of the state directory."""
    switches: tuple[SwitchAddress, ...] = ()
    state_dir: Path = Path("var")
    secret: str = ""
    """What all keys are derived from. See `load_secret`."""
    listen: str = "127.0.0.1:8080"
    """Where the API listens: ``host:port``."""
    public_url: str = ""
    """How browsers reach us, when that differs from ``listen``: decides cookies and the allowed origin."""
    cors_origins: tuple[str, ...] = ()
    """Other sites' origins (``https://desk.example``) whose pages may use the API from a browser."""
    proxies: tuple[str, ...] = ()
    """Networks (``10.0.0.0/8``) whose ``X-Forwarded-…`` headers are believed."""
    webhook_networks: tuple[str, ...] = ()
    """Private networks (``10.1.0.0/16``) that tenants' webhooks may reach nevertheless."""
    log_level: str = "info"
    log_format: str = "auto"
    """``console``, ``json``, or ``auto``: console when the output is a terminal."""
    events_days: int = 7
    """How long the numbered log is kept. Seven days are promised to its readers, so it cannot be less."""
    calls_days: int = 90
    """How long the documents of ended calls are kept. CDRs are not touched by it."""
    attachments: AttachmentLimits = AttachmentLimits()
    local_providers: str = "auto"
    """``yes``: channels may reach this machine where an account's own settings name it (fake providers). ``no``: never.
    ``auto``: only while nobody else can reach us, see `reaches_this_machine`."""

    signaling: str = ""
    """Where a controller listens for agents' browsers: ``host:port``, port 0 for any free one; empty: nowhere."""
    signaling_url: str = ""
    """How browsers reach that, when it is another address: ``wss://…``. Where controllers have addresses of their own the
    API is given all of them, separated by spaces, for its pages may connect to no other."""
    stun_urls: tuple[str, ...] = ()
    turn_urls: tuple[str, ...] = ()
    """ICE servers for agents' browsers."""
    turn_secret: str = ""
    """Shared with the TURN servers: their credentials are made from it."""

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Self:
        """Read the environment (or ``env``). Raises `ConfigError` naming the variable that is wrong."""
        source = os.environ if env is None else env

        def text(name: str, default: str = "") -> str:
            return source.get(name, "").strip() or default

        blobs_dir = text("BLOBS_DIR")
        settings = cls(
            database_url=_url(text("DATABASE_URL"), "DATABASE_URL", ("postgresql", "postgres")),
            redis_url=_url(text("REDIS_URL"), "REDIS_URL", ("redis", "rediss", "unix", "valkey", "valkeys")),
            s3_endpoint=_url(text("S3_ENDPOINT"), "S3_ENDPOINT", ("http", "https")),
            s3_bucket=text("S3_BUCKET"),
            s3_access_key=text("S3_ACCESS_KEY"),
            s3_secret_key=text("S3_SECRET_KEY"),
            s3_region=text("S3_REGION"),
            blobs_dir=Path(blobs_dir) if blobs_dir else None,
            switches=parse_switches(text("SWITCHES")),
            state_dir=Path(text("IRISX_STATE_DIR", "var")),
            secret=text("IRISX_SECRET"),
            listen=text("IRISX_LISTEN", "127.0.0.1:8080"),
            public_url=_url(text("IRISX_PUBLIC_URL"), "IRISX_PUBLIC_URL", ("http", "https")).rstrip("/"),
            cors_origins=_origins(text("IRISX_CORS_ORIGINS")),
            proxies=_networks(text("IRISX_PROXIES"), "IRISX_PROXIES"),
            webhook_networks=_networks(text("IRISX_WEBHOOK_NETWORKS"), "IRISX_WEBHOOK_NETWORKS"),
            log_level=_one_of(text("IRISX_LOG_LEVEL", "info"), "IRISX_LOG_LEVEL", LOG_LEVELS),
            log_format=_one_of(text("IRISX_LOG_FORMAT", "auto"), "IRISX_LOG_FORMAT", LOG_FORMATS),
            events_days=_days(text("IRISX_EVENTS_DAYS", "7"), "IRISX_EVENTS_DAYS", least=7),
            calls_days=_days(text("IRISX_CALLS_DAYS", "90"), "IRISX_CALLS_DAYS", least=7),
            attachments=AttachmentLimits(
                _megabytes(text("IRISX_ATTACHMENT_MB", "50"), "IRISX_ATTACHMENT_MB"),
                _megabytes(text("IRISX_ATTACHMENTS_MB", "100"), "IRISX_ATTACHMENTS_MB"),
                _count(text("IRISX_ATTACHMENTS", "250"), "IRISX_ATTACHMENTS"),
            ),
            local_providers=_one_of(
                text("IRISX_LOCAL_PROVIDERS", "auto"), "IRISX_LOCAL_PROVIDERS", ("auto", "yes", "no")
            ),
            signaling=text("IRISX_SIGNALING"),
            signaling_url=" ".join(
                _url(one, "IRISX_SIGNALING_URL", ("wss", "ws"))
                for one in text("IRISX_SIGNALING_URL").replace(",", " ").split()
            ),
            stun_urls=_ice_urls(text("IRISX_STUN_URLS"), "IRISX_STUN_URLS", ("stun", "stuns")),
            turn_urls=_ice_urls(text("IRISX_TURN_URLS"), "IRISX_TURN_URLS", ("turn", "turns")),
            turn_secret=text("IRISX_TURN_SECRET"),
        )
        settings.listen_address()
        settings.signaling_address()
        if settings.turn_urls and not settings.turn_secret:
            raise ConfigError("IRISX_TURN_URLS is given without IRISX_TURN_SECRET")
        if settings.secret:
            _check_secret(settings.secret)
        if settings.s3_endpoint and not settings.s3_bucket:
            raise ConfigError("S3_ENDPOINT is given without S3_BUCKET")
        if bool(settings.s3_access_key) != bool(settings.s3_secret_key):
            raise ConfigError("S3_ACCESS_KEY and S3_SECRET_KEY belong together; one of them is missing")
        return settings

    def environment(self) -> dict[str, str]:
        """The variables that make another process read these same settings."""
        said = {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "S3_ENDPOINT": self.s3_endpoint,
            "S3_BUCKET": self.s3_bucket,
            "S3_ACCESS_KEY": self.s3_access_key,
            "S3_SECRET_KEY": self.s3_secret_key,
            "S3_REGION": self.s3_region,
            "BLOBS_DIR": "" if self.blobs_dir is None else str(self.blobs_dir),
            "SWITCHES": " ".join(f"{switch.name}={switch.url}" for switch in self.switches),
            "IRISX_STATE_DIR": str(self.state_dir),
            "IRISX_SECRET": self.secret,
            "IRISX_LISTEN": self.listen,
            "IRISX_PUBLIC_URL": self.public_url,
            "IRISX_CORS_ORIGINS": " ".join(self.cors_origins),
            "IRISX_PROXIES": " ".join(self.proxies),
            "IRISX_WEBHOOK_NETWORKS": " ".join(self.webhook_networks),
            "IRISX_LOG_LEVEL": self.log_level,
            "IRISX_LOG_FORMAT": self.log_format,
            "IRISX_EVENTS_DAYS": str(self.events_days),
            "IRISX_CALLS_DAYS": str(self.calls_days),
            "IRISX_ATTACHMENT_MB": str(self.attachments.file_bytes >> 20),
            "IRISX_ATTACHMENTS_MB": str(self.attachments.message_bytes >> 20),
            "IRISX_ATTACHMENTS": str(self.attachments.files),
            "IRISX_LOCAL_PROVIDERS": self.local_providers,
            "IRISX_SIGNALING": self.signaling,
            "IRISX_SIGNALING_URL": self.signaling_url,
            "IRISX_STUN_URLS": " ".join(self.stun_urls),
            "IRISX_TURN_URLS": " ".join(self.turn_urls),
            "IRISX_TURN_SECRET": self.turn_secret,
        }
        return {name: value for name, value in said.items() if value}

    def listen_address(self) -> tuple[str, int]:
        """``listen`` as host and port."""
        return _host_and_port(self.listen, "IRISX_LISTEN")

    def signaling_address(self) -> tuple[str, int] | None:
        """``signaling`` as host and port, None where there is none."""
        return _host_and_port(self.signaling, "IRISX_SIGNALING") if self.signaling else None

    @property
    def reaches_this_machine(self) -> bool:
        """Whether channels may connect to 127.0.0.1. By itself only where we listen there, too, and have no public
        address: on somebody's laptop, where the fake providers are."""
        if self.local_providers != "auto":
            return self.local_providers == "yes"
        return not self.public_url and self.listen.rpartition(":")[0] in ("127.0.0.1", "[::1]", "localhost")

    def blobs_folder(self) -> Path:
        """Where objects go when there is no S3."""
        return self.blobs_dir or self.state_dir / "blobs"

    def __repr__(self) -> str:
        # An exception's text, a debugger or a log line may show settings: secrets stay out of all of them.
        shown = []
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name in ("secret", "s3_secret_key", "s3_access_key", "turn_secret"):
                value = "***" if value else ""
            elif name.endswith("_url") or name == "s3_endpoint":
                value = hide_password(value)
            shown.append(f"{name}={value!r}")
        return f"Settings({', '.join(shown)})"


LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("auto", "console", "json")


def hide_password(url: str) -> str:
    """``url`` as it may be shown to people: without its password, also where that stands in the query."""
    try:
        parts = urlsplit(url)
        secret = parts.password
    except ValueError:
        return "***" if url else ""
    if secret is not None:
        url = url.replace(f":{secret}@", ":***@", 1)
    if "password=" in parts.query or "@" in parts.query:
        url = url.replace("?" + parts.query, "?***", 1)
    return url


class Inside(Struct, frozen=True):
    """A switch's inside profile, where controllers send agents' legs, and who we are there."""

    host: str
    port: int
    user: str
    password: str

    def __repr__(self) -> str:
        return f"Inside({self.user}:***@{self.host}:{self.port})"


def inside_of(url: str) -> Inside | None:
    """``inside=user:password@host:port`` of a switch's address, None where it names none: then agents have no phone
    there. Raises `ConfigError` without repeating it."""
    given = parse_qs(urlsplit(url).query).get("inside")
    if not given:
        return None
    try:
        parts = urlsplit("sip://" + given[0])
        host, port = parts.hostname, parts.port or INSIDE_PORT
    except ValueError:
        host, port, parts = "", 0, urlsplit("")
    if not host or not parts.username or not parts.password:
        raise ConfigError("a switch's inside profile is written esl://...?inside=user:password@host:port")
    return Inside(host, port, unquote(parts.username), unquote(parts.password))


def parse_switches(text: str) -> tuple[SwitchAddress, ...]:
    """``esl://…`` addresses, separated by spaces or commas, each with an optional ``name=`` before it.

    Without a name a switch is called by its host, and by host and port where one host has several.
    """
    found: list[SwitchAddress] = []
    for word in text.replace(",", " ").split():
        before, mark, _ = word.partition("://")
        name, given, _ = before.rpartition("=")
        url = word[len(name) + 1 :] if given else word
        if not mark:
            raise ConfigError("SWITCHES must hold addresses such as esl://:password@host:8021")
        _url(url, "SWITCHES", ("esl",))
        inside_of(url)
        parts = urlsplit(url)
        if not name:
            name = parts.hostname or ""
            if any(switch.name == name for switch in found):
                name = f"{name}:{parts.port or 8021}"
        if any(switch.name == name for switch in found):
            raise ConfigError(f"SWITCHES names {name!r} twice")
        found.append(SwitchAddress(name, url))
    return tuple(found)


def load_secret(state_dir: Path) -> str:
    """The secret of this installation: read from ``state_dir/secret``, made there (0600) the first time.

    Two processes that start at once get the same one. Raises `ConfigError` for a file that others may read.
    """
    path = state_dir / "secret"
    state_dir.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        fresh = state_dir / f".secret-{secrets.token_hex(8)}"
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_urlsafe(48) + "\n")
                file.flush()
                os.fsync(file.fileno())
            # A link fails when somebody was faster, and then theirs is the secret.
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"{path} can be read by others: chmod 600 it, and replace it if they may have")
    secret = path.read_text().strip()
    _check_secret(secret)
    return secret


def _check_secret(secret: str) -> None:
    for part in secret.split(","):
        if len(part.strip()) < MIN_SECRET:
            raise ConfigError(f"IRISX_SECRET must have at least {MIN_SECRET} characters")


def _url(value: str, variable: str, schemes: tuple[str, ...]) -> str:
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        complete = bool(parts.hostname or unquote(parts.path).strip("/") or parts.query)
        # Reading the port is what checks it.
        complete = complete and (parts.port is None or parts.port >= 0)
    except ValueError:
        complete, parts = False, urlsplit("")
    if not complete or parts.scheme not in schemes:
        raise ConfigError(f"{variable} must be an address that begins with {schemes[0]}://")
    return value


def _host_and_port(value: str, variable: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{variable} must be host:port, not {value!r}")
    return host.strip("[]"), int(port)


def _ice_urls(value: str, variable: str, schemes: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses as browsers take them: ``turn:host:3478?transport=udp``."""
    found = tuple(value.replace(",", " ").split())
    for url in found:
        scheme, colon, rest = url.partition(":")
        if not colon or scheme not in schemes or not rest or rest.startswith("/"):
            raise ConfigError(f"{variable} must hold addresses such as {schemes[0]}:host:3478")
    return found


def _origins(value: str) -> tuple[str, ...]:
    """Origins as browsers send them: scheme, host and port, nothing behind."""
    found = value.replace(",", " ").split()
    for origin in found:
        parts = urlsplit(_url(origin, "IRISX_CORS_ORIGINS", ("https", "http")))
        if f"{parts.scheme}://{parts.netloc}" != origin or parts.username is not None:
            raise ConfigError(
                f"IRISX_CORS_ORIGINS must hold origins such as https://desk.example, not {origin}"
            )
    return tuple(found)


def _networks(value: str, variable: str) -> tuple[str, ...]:
    found = value.replace(",", " ").split()
    for network in found:
        try:
            ip_network(network, strict=False)
        except ValueError as exc:
            raise ConfigError(f"{variable} must hold networks such as 10.0.0.0/8, not {network}") from exc
    return tuple(found)


def _one_of(value: str, variable: str, words: tuple[str, ...]) -> str:
    if value.lower() not in words:
        raise ConfigError(f"{variable} must be one of {', '.join(words)}")
    return value.lower()


def _megabytes(value: str, variable: str) -> int:
    if not value.isdigit() or not 1 <= int(value) <= 2000:
        raise ConfigError(f"{variable} must be a number of megabytes, 1 to 2000")
    return int(value) << 20


def _count(value: str, variable: str) -> int:
    if not value.isdigit() or not 1 <= int(value) <= 10_000:
        raise ConfigError(f"{variable} must be a number, 1 to 10000")
    return int(value)


def _days(value: str, variable: str, *, least: int) -> int:
    if not value.isdigit() or not least <= int(value) <= 36500:
        raise ConfigError(f"{variable} must be a number of days, at least {least}")
    return int(value)
