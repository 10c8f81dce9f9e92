"""Agents' browsers at this controller: WebSockets, sessions, and what they ask of the switches.

`serve_signaling` is all that the controller's process needs of it.
"""

import trio

from core.config import Settings
from core.logs import get_logger
from core.signaling.hub import Hub
from core.signaling.server import PATH, Server
from core.telephony.parts import Parts

__all__ = ["PATH", "serve_signaling"]

LOG = get_logger("signaling")

SHOW_S = 1.0
GOODBYE_S = 1.5
"""How long pages may take to hear that they are to find another controller."""


async def serve_signaling(
    parts: Parts, settings: Settings, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve agents' browsers until cancelled; then send them to another controller. Returns at once when
    ``IRISX_SIGNALING`` is empty. ``parts.shown`` says where browsers find it.

    Raises `OSError` when the address cannot be listened on.
    """
    address = settings.signaling_address()
    if address is None:
        task_status.started()
        return
    listeners = await trio.open_tcp_listeners(address[1], host=address[0])
    host, port = listeners[0].socket.getsockname()[:2]
    shown_host = f"[{host}]" if ":" in host else host
    url = settings.signaling_url.partition(" ")[0] or f"ws://{shown_host}:{port}{PATH}"
    ended = trio.Event()
    async with trio.open_nursery() as outer:
        await outer.start(_serve, parts, settings.secret, listeners, url, ended)
        LOG.info("agents' browsers are served", address=f"{shown_host}:{port}")
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            ended.set()


async def _serve(
    parts: Parts,
    secret: str,
    listeners: list[trio.SocketListener],
    url: str,
    ended: trio.Event,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    # Shielded: sockets must live a moment longer than the controller, for their goodbye.
    with trio.CancelScope(shield=True):
        async with trio.open_nursery() as nursery:
            hub = Hub(parts, secret, nursery)
            await nursery.start(Server(hub, nursery).run, listeners)
            nursery.start_soon(hub.keep_time)
            nursery.start_soon(hub.beat)
            nursery.start_soon(_show, parts, hub, url)
            task_status.started()
            await ended.wait()
            parts.shown.pop("signaling", None)
            with trio.move_on_after(GOODBYE_S):
                await hub.drain()
            nursery.cancel_scope.cancel()


async def _show(parts: Parts, hub: Hub, url: str) -> None:
    """Say in the presence where we are, and our numbers."""
    while True:
        parts.shown["signaling"] = url
        parts.shown["signaling_numbers"] = hub.statistics()
        await trio.sleep(SHOW_S)
