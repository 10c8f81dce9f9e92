"""A running API for tests: the real server on a free port of 127.0.0.1, with real Postgres and Valkey.

`serving` gives an `Api`: addresses, credentials, and a stand-in for the controller that answers orders through the
real bus.
"""

import asyncio
import secrets
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import argon2
import httpx
import uvloop

from api.app import Application, create_app, server_of
from api.http.ratelimit import Limit
from api.http.server import Server
from core.access import keys, people
from core.access.passwords import Passwords
from core.access.roles import BUILT_IN, EVERYTHING
from core.bus import Bus
from core.clock import now_us
from core.config import Settings
from core.ids import derived_id, new_id
from core.model.orders import Order, Outcome
from core.model.records import Call, Change, Leg
from core.storage import access_keys, access_tenants, access_users
from core.storage import nodes as node_store
from core.storage.calls import write_changes
from core.storage.database import Database

SECRET = "a secret for tests that is long enough to be one"
PASSWORD = "correct horse battery"
WIDE_OPEN = {
    (scope, bucket): Limit(1_000_000.0, 1_000_000)
    for scope in ("tenant", "caller", "address")
    for bucket in ("reads", "writes", "calls", "public")
}


def quick_passwords() -> Passwords:
    """argon2 that costs next to nothing."""
    return Passwords(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


class Person:
    """A user of a tenant, and how to be them."""

    def __init__(self, user_id: str, email: str, token: str) -> None:
        self.id = user_id
        self.email = email
        self.token = token


class Api:
    """A running API and the stores behind it."""

    def __init__(
        self, application: Application, server: Server, url: str, database: Database, bus: Bus
    ) -> None:
        self.application = application
        self.server = server
        self.url = url
        self.database = database
        self.bus = bus
        self.http = httpx.AsyncClient(
            base_url=url, timeout=20, trust_env=False, event_hooks={"response": [self._forget_cookies]}
        )

    async def _forget_cookies(self, _: httpx.Response) -> None:
        # Every request says by itself who it is from.
        self.http.cookies.clear()

    @property
    def services(self) -> Any:
        assert self.application.services is not None
        return self.application.services

    async def ask(
        self,
        method: str,
        path: str,
        token: str = "",
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One request with a bearer token."""
        sent = dict(headers or {})
        if token:
            sent["Authorization"] = f"Bearer {token}"
        return await self.http.request(method, path, json=json, headers=sent)

    async def tenant(self, name: str = "Another") -> str:
        """A new tenant's id."""
        async with self.database.system() as conn:
            made = await access_tenants.insert_tenant(conn, tenant_id=new_id("tnt"), name=name, limits={})
        return made.id

    async def key(
        self,
        scopes: Any = None,
        tenant_id: str = "tnt_main",
        *,
        all_tenants: bool = False,
        by: str = "usr_test",
    ) -> str:
        """A new API key's text; everything an admin may, unless said otherwise."""
        key_id, text, digest = keys.fresh_key()
        async with self.database.tenant(tenant_id) as conn:
            await access_keys.insert_key(
                conn,
                tenant_id=tenant_id,
                key_id=key_id,
                name="test",
                scopes=sorted(BUILT_IN["admin"].permissions if scopes is None else scopes),
                all_tenants=all_tenants,
                secret_hash=digest,
                created_by=by,
                expires_at=None,
            )
        return text

    async def operator_key(self) -> str:
        return await self.key(EVERYTHING, all_tenants=True)

    async def person(self, *roles: str, tenant_id: str = "tnt_main", email: str = "") -> Person:
        """A new user who is signed in."""
        email = email or f"{secrets.token_hex(6)}@example.org"
        passwords = quick_passwords()
        chosen = await people.choose_password(passwords, PASSWORD)
        passwords.close()
        async with self.database.tenant(tenant_id) as conn:
            user = await access_users.insert_user(
                conn,
                tenant_id=tenant_id,
                user_id=new_id("usr"),
                email=email,
                name="Test",
                password_hash=chosen.hash,
                roles=roles,
            )
        answer = await self.ask("POST", "/v1/auth/login", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return Person(user.id, email, answer.json()["access_token"])

    async def node(self, name: str = "", *, tenant_id: str = "tnt_main", up: bool = True) -> str:
        """A switch that its (imagined) controller says is up."""
        node = await node_store.create_node(
            self.database,
            secret=SECRET,
            name=name or f"switch-{secrets.token_hex(4)}",
            url="esl://:ClueCon@127.0.0.1:8021",
            default_tenant=tenant_id,
        )
        fence = await node_store.draw_fence(self.database, node.id, owner="ctl-test")
        status = {"up": up, "calls": 0, "heartbeat": {"sessions": 3}}
        assert await node_store.set_status(self.database, node.id, fence, status)
        return node.id

    async def store(self, node: str, *changes: Change) -> dict[str, Any]:
        """Write changes as a controller would, and show them on the bus."""
        fence = (await node_store.get_node(self.database, node)).fence
        written = await write_changes(self.database, node=node, fence=fence, changes=changes)
        for tenant_id, entries in written.items():
            await self.bus.publish(tenant_id, entries)
        return written

    async def call(self, node: str, *, tenant_id: str = "tnt_main", **members: Any) -> Call:
        """A stored live call with one answered leg."""
        call = a_call(node, tenant_id=tenant_id, **members)
        await self.store(node, Change(type="call.created", call=call, occurred_us=call.created_us))
        return call

    @asynccontextmanager
    async def owner(
        self, node: str, answer: "Callable[[Order], Outcome | None] | None" = None
    ) -> AsyncIterator[list[Order]]:
        """A stand-in for the controller of ``node``: gets orders over the real bus and answers ``done``, or what
        ``answer`` says (None: nothing at all). Yields the orders it got."""
        got: list[Order] = []
        tasks = set()

        def on_order(reply_to: str, order: Order) -> None:
            got.append(order)
            outcome = Outcome(order_id=order.id, status="done") if answer is None else answer(order)
            if outcome is not None:
                task = asyncio.create_task(self.bus.answer(reply_to, outcome))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

        await self.bus.serve(node, on_order)
        try:
            yield got
        finally:
            await self.bus.unserve(node)


def a_call(node: str, *, tenant_id: str = "tnt_main", at_us: int = 0, **members: Any) -> Call:
    """A live call with one answered inbound leg."""
    at_us = at_us or now_us()
    uuid = secrets.token_hex(8)
    leg = Leg(
        uuid=uuid,
        direction="inbound",
        state="answered",
        caller="+14155550100",
        destination="1000",
        created_us=at_us,
        answered_us=at_us + 1_000_000,
    )
    told = {
        "state": "answered",
        "caller": "+14155550100",
        "destination": "1000",
        "created_us": at_us,
        "answered_us": at_us + 1_000_000,
        "legs": (leg,),
        "version": 1,
        **members,
    }
    return Call(
        id=derived_id("call", at_us=at_us, source=f"{node}/{uuid}"), tenant_id=tenant_id, node=node, **told
    )


def settings_for(database_url: str, redis_url: str, **more: Any) -> Settings:
    return Settings(database_url=database_url, redis_url=redis_url, secret=SECRET, **more)


@asynccontextmanager
async def serving(
    database_url: str,
    redis_url: str,
    *,
    limits: dict[tuple[str, str], Limit] | None = None,
    pages: Path | None = None,
    **more: Any,
) -> AsyncIterator[Api]:
    """An API of this test's own, running in its loop; limits are wide open unless given."""
    application = new_application(database_url, redis_url, limits=limits, pages=pages, **more)
    listener = socket.create_server(("127.0.0.1", 0))
    server = server_of(application)
    running = asyncio.create_task(server._serve([listener]))
    while not (server.started and application.services):
        await asyncio.sleep(0.002)
        if running.done():
            running.result()
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with connected(Running(url, application, server), database_url, redis_url) as api:
            yield api
    finally:
        if application.services is not None:
            application.services.drain()
        server.should_exit = True
        await running


@asynccontextmanager
async def connected(running: "Running", database_url: str, redis_url: str) -> AsyncIterator[Api]:
    """A running API seen from this test's loop, with connections of its own to the stores."""
    database = await Database.open(database_url, max_size=3)
    bus = await Bus.open(redis_url)
    await asyncio.wait_for(bus.listening.wait(), 5)
    api = Api(running.application, running.server, running.url, database, bus)
    try:
        yield api
    finally:
        await api.http.aclose()
        await bus.aclose()
        await database.close()


class Running(NamedTuple):
    """An API that runs somewhere in this process."""

    url: str
    application: Application
    server: Server


@contextmanager
def in_a_thread(application: Application, *, until_open: bool = True) -> Iterator[Running]:
    """An API in a thread and loop of its own, for all tests of a module; ``until_open``: with its stores."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = server_of(application)

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server._serve([listener]))

    thread = threading.Thread(target=run, name="api under test")
    thread.start()
    while not (server.started and (application.services or not until_open)):
        assert thread.is_alive(), "the API did not start"
        time.sleep(0.005)
    try:
        yield Running(f"http://127.0.0.1:{listener.getsockname()[1]}", application, server)
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the API did not stop"


def new_application(
    database_url: str,
    redis_url: str,
    *,
    limits: dict[tuple[str, str], Limit] | None = None,
    pages: Path | None = None,
    **more: Any,
) -> Application:
    return create_app(
        settings_for(database_url, redis_url, **more),
        limits=WIDE_OPEN if limits is None else limits,
        passwords=quick_passwords(),
        pages=pages,
    )
