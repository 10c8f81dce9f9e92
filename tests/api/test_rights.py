"""Nobody hands out, takes over or takes away more than they hold."""

import asyncio
from typing import Any

import pytest

from core.access import first_operator
from core.access.roles import BUILT_IN, EVERYTHING, PERMISSIONS, PLATFORM, total
from core.storage.database import Database
from tests.api.conftest import Connect
from tests.api.harness import PASSWORD, Api

pytestmark = pytest.mark.asyncio_loop


async def new_user(api: Api, token: str, *roles: str, **more: Any) -> Any:
    body = {"email": f"u{id(more)}{len(roles)}@example.org", "name": "New", "roles": list(roles), **more}
    return await api.ask("POST", "/v1/users", token, body)


def test_the_platforms_permissions_are_in_no_role_but_operator() -> None:
    for role in BUILT_IN.values():
        assert (role.id == "operator") == bool(role.permissions & PLATFORM)
        assert role.permissions <= EVERYTHING


def test_a_custom_role_never_gives_a_platform_permission() -> None:
    assert total(["rol_x"], {"rol_x": frozenset(PERMISSIONS)}) == EVERYTHING - PLATFORM


async def test_a_created_user_gets_a_password_told_once(connect: Connect) -> None:
    async with connect() as api:
        admin = await api.person("admin")
        made = await new_user(api, admin.token, "agent", email="once@example.org")
        assert made.status_code == 201
        password, user = made.json()["password"], made.json()["user"]
        assert made.headers["location"] == f"/v1/users/{user['id']}"
        seen = await api.ask("GET", f"/v1/users/{user['id']}", admin.token)
        assert password not in seen.text and "password" not in seen.text
        login = await api.ask(
            "POST", "/v1/auth/login", json={"email": "once@example.org", "password": password}
        )
        assert login.status_code == 200


async def test_an_admin_cannot_make_an_operator(connect: Connect) -> None:
    async with connect() as api:
        admin, agent = await api.person("admin"), await api.person("agent")
        assert (await new_user(api, admin.token, "operator", email="a@example.org")).status_code == 403
        raised = await api.ask("PATCH", f"/v1/users/{agent.id}", admin.token, {"roles": ["operator"]})
        assert raised.status_code == 403
        mine = await api.ask("PATCH", f"/v1/users/{admin.id}", admin.token, {"roles": ["admin", "operator"]})
        assert mine.status_code == 403


async def test_an_operator_cannot_make_operators_in_other_tenants(connect: Connect) -> None:
    async with connect() as api:
        operator, tenant = await api.person("operator"), await api.tenant()
        body = {"email": "elsewhere@example.org", "name": "X", "roles": ["operator"]}
        answer = await api.ask("POST", "/v1/users", operator.token, body, {"Tenant": tenant})
        assert answer.status_code == 403


@pytest.mark.parametrize("act", ["change", "reset", "deactivate", "delete", "end a session"])
async def test_an_admin_cannot_touch_an_operator(connect: Connect, act: str) -> None:
    async with connect() as api:
        admin, operator = await api.person("admin"), await api.person("operator")
        session = (await api.ask("GET", "/v1/auth/session", operator.token)).json()["session_id"]
        path = f"/v1/users/{operator.id}"
        answer = await {
            "change": lambda: api.ask("PATCH", path, admin.token, {"email": "mine@example.org"}),
            "reset": lambda: api.ask("POST", f"{path}/password", admin.token, {"password": "a new password"}),
            "deactivate": lambda: api.ask("POST", f"{path}/deactivate", admin.token),
            "delete": lambda: api.ask("DELETE", path, admin.token),
            "end a session": lambda: api.ask("DELETE", f"{path}/sessions/{session}", admin.token),
        }[act]()
        assert answer.status_code == 403
        assert (await api.ask("GET", "/v1/auth/session", operator.token)).status_code == 200


async def test_a_key_may_do_no_more_than_who_makes_it(connect: Connect) -> None:
    async with connect() as api:
        admin = await api.person("admin")
        for body in (
            {"name": "k", "scopes": ["nodes:control"]},
            {"name": "k", "scopes": ["calls:read"], "all_tenants": True},
        ):
            assert (await api.ask("POST", "/v1/api-keys", admin.token, body)).status_code == 403
        made = await api.ask("POST", "/v1/api-keys", admin.token, {"name": "k", "scopes": ["calls:read"]})
        assert made.status_code == 201
        small = made.json()["secret"]
        assert (await api.ask("GET", "/v1/calls", small)).status_code == 200
        assert (await api.ask("GET", "/v1/users", small)).status_code == 403


async def test_a_key_with_key_rights_cannot_outgrow_itself(connect: Connect) -> None:
    async with connect() as api:
        key = await api.key(["api-keys:read", "api-keys:write"])
        assert (
            await api.ask("POST", "/v1/api-keys", key, {"name": "k", "scopes": ["calls:read"]})
        ).status_code == 403
        other = (await api.ask("GET", "/v1/api-keys", await api.key())).json()["data"]
        bigger = next(one for one in other if "calls:read" in one["scopes"])
        for method, path in (("POST", "/rotate"), ("DELETE", ""), ("PATCH", "")):
            body = {"name": "x"} if method == "PATCH" else None
            answer = await api.ask(method, f"/v1/api-keys/{bigger['id']}{path}", key, body)
            assert answer.status_code == 403, "taking it over would be taking its rights"


async def test_a_demoted_persons_keys_end_with_the_rights(connect: Connect) -> None:
    async with connect() as api:
        admin, person = await api.person("admin"), await api.person("admin")
        made = await api.ask("POST", "/v1/api-keys", person.token, {"name": "k", "scopes": ["users:read"]})
        kept = await api.ask("POST", "/v1/api-keys", person.token, {"name": "k", "scopes": ["calls:read"]})
        secrets = [made.json()["secret"], kept.json()["secret"]]
        assert [(await api.ask("GET", "/v1/auth/session", one)).status_code for one in secrets] == [200, 200]
        done = await api.ask("PATCH", f"/v1/users/{person.id}", admin.token, {"roles": ["agent"]})
        assert done.status_code == 200
        assert [(await api.ask("GET", "/v1/auth/session", one)).status_code for one in secrets] == [401, 200]
        assert (await api.ask("GET", "/v1/users", person.token)).status_code == 403


async def test_a_deleted_persons_keys_and_sessions_end(connect: Connect) -> None:
    async with connect() as api:
        admin, person = await api.person("admin"), await api.person("admin")
        key = (
            await api.ask("POST", "/v1/api-keys", person.token, {"name": "k", "scopes": ["calls:read"]})
        ).json()
        assert (await api.ask("DELETE", f"/v1/users/{person.id}", admin.token)).status_code == 204
        for token in (person.token, key["secret"]):
            assert (await api.ask("GET", "/v1/auth/session", token)).status_code == 401
        assert (await api.ask("GET", f"/v1/users/{person.id}", admin.token)).status_code == 404
        again = await new_user(api, admin.token, "agent", email=person.email)
        assert again.status_code == 201, "the address is free again"


async def test_an_address_names_one_person(connect: Connect) -> None:
    async with connect() as api:
        admin, person = await api.person("admin"), await api.person("agent")
        taken = await new_user(api, admin.token, "agent", email=person.email.upper())
        assert taken.status_code == 409 and taken.json()["code"] == "email_taken"
        moved = await api.ask("PATCH", f"/v1/users/{admin.id}", admin.token, {"email": person.email})
        assert moved.status_code == 409


async def test_the_last_operator_stays(database_url: str, redis_url: str) -> None:
    from tests.api.harness import serving

    async with serving(database_url, redis_url) as api:
        async with api.database.system() as conn:
            await conn.execute("update users set roles = '{admin}' where 'operator' = any(roles)")
        one, two = await api.person("operator"), await api.person("operator")
        assert (
            await api.ask("PATCH", f"/v1/users/{two.id}", one.token, {"roles": ["admin"]})
        ).status_code == 200
        for answer in (
            await api.ask("PATCH", f"/v1/users/{one.id}", one.token, {"roles": ["admin"]}),
            await api.ask("POST", f"/v1/users/{one.id}/deactivate", one.token),
        ):
            assert answer.status_code == 409 and answer.json()["code"] == "last_operator"
        three = await api.person("operator")
        both = await asyncio.gather(
            api.ask("PATCH", f"/v1/users/{one.id}", three.token, {"roles": ["admin"]}),
            api.ask("PATCH", f"/v1/users/{three.id}", one.token, {"roles": ["admin"]}),
        )
        assert min(answer.status_code for answer in both) == 200
        async with api.database.reader("tnt_main") as conn:
            left = await conn.fetchval("select count(*) from users where 'operator' = any(roles)")
        assert left >= 1, "two who demote each other leave one"


async def test_nobody_deletes_themselves(connect: Connect) -> None:
    async with connect() as api:
        admin = await api.person("admin")
        answer = await api.ask("DELETE", f"/v1/users/{admin.id}", admin.token)
        assert answer.status_code == 409 and answer.json()["code"] == "own_account"


async def test_own_roles_are_made_given_changed_and_deleted(connect: Connect) -> None:
    async with connect() as api:
        admin, person = await api.person("admin"), await api.person("viewer")
        made = await api.ask(
            "POST", "/v1/roles", admin.token, {"name": "Night shift", "permissions": ["calls:control"]}
        )
        assert made.status_code == 201
        role = made.json()["id"]
        await api.ask("PATCH", f"/v1/users/{person.id}", admin.token, {"roles": [role]})
        session = (await api.ask("GET", "/v1/auth/session", person.token)).json()
        assert session["permissions"] == ["calls:control"]
        await api.ask("PATCH", f"/v1/roles/{role}", admin.token, {"permissions": ["calls:read"]})
        session = (await api.ask("GET", "/v1/auth/session", person.token)).json()
        assert session["permissions"] == ["calls:read"], "at once, for everybody who has it"
        used = await api.ask("DELETE", f"/v1/roles/{role}", admin.token)
        assert used.status_code == 409 and person.id in used.json()["detail"]
        await api.ask("PATCH", f"/v1/users/{person.id}", admin.token, {"roles": []})
        assert (await api.ask("DELETE", f"/v1/roles/{role}", admin.token)).status_code == 204


@pytest.mark.parametrize("permissions", [["nodes:control"], ["no:such"], ["calls:read", "tenants:write"]])
async def test_a_role_cannot_hold_what_is_not_for_tenants(connect: Connect, permissions: list[str]) -> None:
    async with connect() as api:
        operator = await api.person("operator")
        answer = await api.ask("POST", "/v1/roles", operator.token, {"name": "X", "permissions": permissions})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["pointer"] == f"/permissions/{len(permissions) - 1}"


async def test_a_role_with_more_than_mine_is_not_mine_to_change(connect: Connect) -> None:
    async with connect() as api:
        admin = await api.person("admin")
        made = await api.ask(
            "POST", "/v1/roles", admin.token, {"name": "Big", "permissions": ["users:write"]}
        )
        small = await api.key(["roles:read", "roles:write"])
        role = made.json()["id"]
        assert (await api.ask("PATCH", f"/v1/roles/{role}", small, {"name": "Mine"})).status_code == 403
        assert (await api.ask("DELETE", f"/v1/roles/{role}", small)).status_code == 403


@pytest.mark.parametrize("role", ["operator", "admin", "viewer"])
async def test_built_in_roles_stay_as_they_are(connect: Connect, role: str) -> None:
    async with connect() as api:
        operator = await api.person("operator")
        assert (await api.ask("GET", f"/v1/roles/{role}", operator.token)).json()["built_in"] is True
        assert (await api.ask("PATCH", f"/v1/roles/{role}", operator.token, {"name": "X"})).status_code == 409
        assert (await api.ask("DELETE", f"/v1/roles/{role}", operator.token)).status_code == 409


async def test_an_unknown_role_is_refused(connect: Connect) -> None:
    async with connect() as api:
        admin = await api.person("admin")
        answer = await new_user(api, admin.token, "rol_nonesuch", email="r@example.org")
        assert answer.status_code == 400 and answer.json()["code"] == "unknown_role"


async def test_the_first_operator_is_made_once(empty_database_url: str) -> None:
    from core.storage.migrate import migrate

    await asyncio.to_thread(migrate, empty_database_url)
    async with await Database.open(empty_database_url) as database:
        made = await asyncio.gather(*(first_operator(database) for _ in range(4)))
        told = [one for one in made if one is not None]
        assert len(told) == 1
        email, password = told[0]
        assert "@" in email and len(password) >= 20
        assert await first_operator(database) is None
        async with database.reader("tnt_main") as conn:
            rows = await conn.fetch("select email, roles, password_hash from users")
        assert [(row["email"], row["roles"]) for row in rows] == [(email, ["operator"])]
        assert rows[0]["password_hash"].startswith("$argon2id$") and password not in rows[0]["password_hash"]


async def test_an_operator_resets_a_password(connect: Connect) -> None:
    async with connect() as api:
        operator, person = await api.person("operator"), await api.person("agent")
        told = await api.ask("POST", f"/v1/users/{person.id}/password", operator.token)
        assert told.status_code == 200
        assert (await api.ask("GET", "/v1/auth/session", person.token)).status_code == 401
        for password, status in ((PASSWORD, 401), (told.json()["password"], 200)):
            answer = await api.ask(
                "POST", "/v1/auth/login", json={"email": person.email, "password": password}
            )
            assert answer.status_code == status
