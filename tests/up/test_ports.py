"""Ports: who is in the way."""

import os
import socket

from api.up import ports


def test_whoever_listens_on_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free("127.0.0.1", port)
        assert f"(process {os.getpid()})" in ports.holder(port)
    assert ports.is_free("127.0.0.1", port)
    assert ports.holder(port) == ""


def test_a_free_port_is_free() -> None:
    assert ports.is_free("127.0.0.1", ports.free_port())


def test_a_port_on_ipv6_is_looked_at_too() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
        assert not ports.is_free("::1", port)
        assert f"(process {os.getpid()})" in ports.holder(port)
