"""Where a request comes from: the caller's address, whether the way was encrypted, whose page sent it."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit


class Origins:
    """Answers by what an operator said of proxies and of our own address."""

    def __init__(self, *, public_url: str, proxies: tuple[str, ...], allowed: tuple[str, ...]) -> None:
        """``proxies``: networks whose ``X-Forwarded-…`` headers are believed. ``allowed``: other sites' origins
        whose pages may use the API from a browser (CORS)."""
        self._proxies: list[IPv4Network | IPv6Network] = [ip_network(one, strict=False) for one in proxies]
        parts = urlsplit(public_url)
        self._own = f"{parts.scheme}://{parts.netloc}" if public_url else ""
        self.allowed = frozenset(allowed)

    def address(self, scope: Any) -> str:
        """The caller's address: the last one that no proxy of ours has."""
        client = scope.get("client")
        address = client[0] if client else ""
        if not self._proxies or not self._is_proxy(address):
            return address or "local"
        forwarded = _header(scope, b"x-forwarded-for").split(",")
        for hop in reversed([one.strip() for one in forwarded if one.strip()]):
            address = hop
            if not self._is_proxy(hop):
                break
        return address[:64]

    def is_secure(self, scope: Any) -> bool:
        """Whether the browser's connection is encrypted: then cookies are for such connections only."""
        if self._own:
            return self._own.startswith("https:")
        if scope.get("scheme") in ("https", "wss"):
            return True
        client = scope.get("client")
        proxied = bool(self._proxies) and client is not None and self._is_proxy(client[0])
        return proxied and _header(scope, b"x-forwarded-proto").strip().lower() == "https"

    def is_own(self, scope: Any) -> bool:
        """Whether the request can have come from a page of ours: browsers name the sender in ``Origin``."""
        origin = _header(scope, b"origin")
        if not origin:
            return _header(scope, b"sec-fetch-site") in ("", "same-origin", "none")
        if self._own:
            return origin == self._own
        return urlsplit(origin).netloc == _header(scope, b"host")

    def _is_proxy(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            # A unix socket has no address: whoever can reach it is on this machine, as our proxy is.
            return address == ""
        return any(parsed in network for network in self._proxies)


def _header(scope: Any, name: bytes) -> str:
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""
