"""Signing in, staying signed in, signing out."""

import asyncio
import base64
import json

import httpx
import jwt
import pytest

from core.access import tokens
from core.access.throttle import LocalAttempts, Throttle
from core.clock import now_us
from core.storage.limits import AttemptRule
from tests.api.conftest import Connect
from tests.api.harness import PASSWORD, SECRET, Api, serving

pytestmark = pytest.mark.asyncio_loop


async def sign_in(api: Api, email: str, password: str = PASSWORD, grant: str = "token") -> httpx.Response:
    return await api.ask(
        "POST", "/v1/auth/login", json={"email": email, "password": password, "grant": grant}
    )


async def refresh(api: Api, token: str) -> httpx.Response:
    return await api.ask("POST", "/v1/auth/refresh", json={"refresh_token": token})


async def who(api: Api, token: str) -> int:
    return (await api.ask("GET", "/v1/auth/session", token)).status_code


async def test_a_person_signs_in_and_is_known(connect: Connect) -> None:
    async with connect() as api:
        person = await api.person("supervisor")
        answer = await sign_in(api, person.email.upper())
        said = answer.json()
        assert answer.status_code == 200
        assert said["token_type"] == "Bearer" and said["expires_in"] == 600
        assert said["user"]["roles"] == ["supervisor"] and "calls:control" in said["user"]["permissions"]
        assert await who(api, said["access_token"]) == 200
        assert answer.headers["cache-control"] == "no-store"


async def test_a_wrong_password_and_an_unknown_address_look_the_same(connect: Connect) -> None:
    async with connect() as api:
        person = await api.person("agent")
        wrong = await sign_in(api, person.email, "not the password")
        unknown = await sign_in(api, "nobody@example.org", "not the password")
        assert wrong.status_code == unknown.status_code == 401
        same = ("type", "title", "detail", "code", "errors")
        assert [wrong.json()[name] for name in same] == [unknown.json()[name] for name in same]


async def test_an_unknown_address_costs_a_hash_too(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    async with connect() as api:
        passwords = api.services.access.passwords
        checked: list[str] = []
        check = passwords._check

        def noting(password_hash: str, password: bytes) -> bool:
            checked.append(password_hash)
            return bool(check(password_hash, password))

        monkeypatch.setattr(passwords, "_check", noting)
        await sign_in(api, "nobody-at-all@example.org", "whatever it is")
        assert len(checked) == 1 and checked[0].startswith("$argon2id$")


async def test_guessing_is_slowed_down_for_the_person_from_that_address(
    database_url: str, redis_url: str
) -> None:
    async with serving(database_url, redis_url) as api:
        person = await api.person("agent")
        answers = [await sign_in(api, person.email, f"guess number {n}") for n in range(6)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429]
        refused = answers[-1]
        assert refused.json()["code"] == "too_many_attempts" and refused.json()["retryable"] is True
        assert int(refused.headers["retry-after"]) >= 1
        # The right password does not help either, before the pause is over; another person is not affected.
        assert (await sign_in(api, person.email)).status_code == 429
        other = await api.person("agent")
        assert (await sign_in(api, other.email)).status_code == 200


async def test_a_success_clears_the_count(connect: Connect) -> None:
    async with connect() as api:
        person = await api.person("agent")
        for _ in range(3):
            for n in range(3):
                assert (await sign_in(api, person.email, f"guess {n}")).status_code == 401
            assert (await sign_in(api, person.email)).status_code == 200


async def test_parallel_guesses_do_not_slip_through(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # (a busy machine is not a Redis that is away: then each process would count by itself)
    monkeypatch.setattr("core.access.throttle.ANSWER_S", 30.0)
    async with serving(database_url, redis_url) as api:
        person = await api.person("agent")
        answers = await asyncio.gather(*(sign_in(api, person.email, f"guess {n}") for n in range(30)))
        assert sum(answer.status_code == 401 for answer in answers) == 5


async def test_without_redis_attempts_are_counted_here() -> None:
    local = LocalAttempts()
    rules = {"a|1": AttemptRule(2, 900), "from|1": AttemptRule(50, 900)}
    assert local.attempt(rules) == 0.0
    assert local.attempt(rules) == 0.0
    assert 0 < local.attempt(rules) <= 1.0
    local.forgive(*rules)
    assert local.attempt(rules) == 0.0


async def test_the_throttle_goes_on_when_redis_is_away(redis_url: str) -> None:
    import redis.asyncio

    nowhere = redis.asyncio.Redis(unix_socket_path="/nonexistent/redis.sock")
    throttle = Throttle(nowhere)
    for _ in range(5):
        await throttle.enter("someone@example.org", "192.0.2.1")
    with pytest.raises(Exception, match="too many failed attempts"):
        await throttle.enter("someone@example.org", "192.0.2.1")
    await nowhere.aclose()


async def test_refreshing_gives_a_new_pair_each_time(connect: Connect) -> None:
    async with connect() as api:
        person = await api.person("agent")
        first = (await sign_in(api, person.email)).json()
        second = (await refresh(api, first["refresh_token"])).json()
        third = await refresh(api, second["refresh_token"])
        assert third.status_code == 200
        assert len({first["refresh_token"], second["refresh_token"], third.json()["refresh_token"]}) == 3
        assert await who(api, third.json()["access_token"]) == 200


async def test_a_used_refresh_token_ends_the_whole_session(connect: Connect) -> None:
    async with connect() as api:
        person = await api.person("agent")
        first = (await sign_in(api, person.email)).json()
        second = (await refresh(api, first["refresh_token"])).json()
        again = await refresh(api, first["refresh_token"])
        assert again.status_code == 401 and again.json()["code"] == "token_reuse"
        late = await refresh(api, second["refresh_token"])
        assert late.status_code == 401 and late.json()["code"] == "session_ended"
        assert await who(api, second["access_token"]) == 401
        assert await who(api, person.token) == 200, "the person's other session goes on"


async def test_of_two_simultaneous_refreshes_one_ends_the_session(connect: Connect) -> None:
    async with connect() as api:
        person = await api.person("agent")
        first = (await sign_in(api, person.email)).json()
        answers = await asyncio.gather(*(refresh(api, first["refresh_token"]) for _ in range(4)))
        assert sorted(answer.status_code for answer in answers)[:1] in ([200], [401])
        assert sum(answer.status_code == 200 for answer in answers) <= 1
        assert {answer.status_code for answer in answers} <= {200, 401}
        session = (await api.ask("GET", "/v1/users/me/sessions", person.token)).json()["data"]
        assert first["user"]["session_id"] not in [one["id"] for one in session]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "irr_",
        "irr_" + "0" * 26 + "_1_" + "A" * 43,
        "x" * 200,
        "irr_" + "0" * 26 + "_99999999999_" + "A" * 43,
    ],
)
async def test_what_is_no_refresh_token_of_ours_is_refused(connect: Connect, text: str) -> None:
    async with connect() as api:
        assert (await refresh(api, text)).status_code == 401


async def test_a_forged_old_refresh_token_ends_nobodys_session(connect: Connect) -> None:
    """Session ids can be seen in lists; without the MAC they are no way to sign others out."""
    async with connect() as api:
        person = await api.person("agent")
        first = (await sign_in(api, person.email)).json()
        second = (await refresh(api, first["refresh_token"])).json()
        head, _, _ = first["refresh_token"].rpartition("_")
        assert (await refresh(api, f"{head}_{'A' * 43}")).json()["code"] == "bad_refresh_token"
        assert (await refresh(api, second["refresh_token"])).status_code == 200


async def test_browsers_get_the_refresh_token_as_a_cookie_only(connect: Connect) -> None:
    async with connect() as api:
        person = await api.person("agent")
        answer = await sign_in(api, person.email, grant="cookie")
        cookie = answer.headers["set-cookie"]
        assert "refresh_token" not in answer.json()
        for part in ("HttpOnly", "SameSite=Strict", "Path=/v1/auth"):
            assert part in cookie
        value = cookie.partition("=")[2].partition(";")[0]
        own = {"Cookie": f"irisx_refresh={value}", "Origin": api.url}
        next_one = await api.http.post("/v1/auth/refresh", headers=own)
        assert next_one.status_code == 200 and "refresh_token" not in next_one.json()
        assert next_one.headers["set-cookie"] != cookie


async def test_the_cookie_is_not_taken_from_another_sites_page(connect: Connect) -> None:
    async with connect() as api:
        person = await api.person("agent")
        cookie = (await sign_in(api, person.email, grant="cookie")).headers["set-cookie"].partition(";")[0]
        for headers in ({"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}):
            answer = await api.http.post("/v1/auth/refresh", headers={"Cookie": cookie, **headers})
            assert answer.status_code == 400 and answer.json()["code"] == "bad_origin"
        assert (await api.http.post("/v1/auth/refresh", headers={"Cookie": cookie})).status_code == 200


async def test_cookies_are_secure_where_the_way_is(database_url: str, redis_url: str) -> None:
    async with serving(database_url, redis_url, public_url="https://desk.example") as api:
        person = await api.person("agent")
        assert "; Secure" in (await sign_in(api, person.email, grant="cookie")).headers["set-cookie"]


async def test_signing_out_ends_the_session_at_once(connect: Connect) -> None:
    async with connect() as api:
        person = await api.person("agent")
        mine = (await sign_in(api, person.email)).json()
        assert await who(api, mine["access_token"]) == 200
        out = await api.ask("POST", "/v1/auth/logout", mine["access_token"])
        assert out.status_code == 204 and "Max-Age=0" in out.headers["set-cookie"]
        assert await who(api, mine["access_token"]) == 401
        assert (await refresh(api, mine["refresh_token"])).status_code == 401
        assert await who(api, person.token) == 200


async def test_signing_out_everywhere(connect: Connect) -> None:
    async with connect() as api:
        person = await api.person("agent")
        mine = (await sign_in(api, person.email)).json()
        await api.ask("POST", "/v1/auth/logout", mine["access_token"], {"everywhere": True})
        assert [await who(api, token) for token in (mine["access_token"], person.token)] == [401, 401]


async def test_signing_out_works_with_the_refresh_token_alone(connect: Connect) -> None:
    async with connect() as api:
        person = await api.person("agent")
        mine = (await sign_in(api, person.email)).json()
        await api.ask("POST", "/v1/auth/logout", json={"refresh_token": mine["refresh_token"]})
        assert await who(api, mine["access_token"]) == 401


async def test_a_person_sees_and_ends_their_sessions(connect: Connect) -> None:
    async with connect() as api:
        person = await api.person("agent")
        other = (await sign_in(api, person.email)).json()
        listed = (await api.ask("GET", "/v1/users/me/sessions", person.token)).json()["data"]
        assert len(listed) == 2
        ended = await api.ask("DELETE", f"/v1/users/me/sessions/{other['user']['session_id']}", person.token)
        assert ended.status_code == 204
        assert await who(api, other["access_token"]) == 401
        assert await who(api, person.token) == 200


async def test_changing_the_password_ends_the_other_sessions(connect: Connect) -> None:
    async with connect() as api:
        person = await api.person("agent")
        other = (await sign_in(api, person.email)).json()["access_token"]
        body = {"present": PASSWORD, "wanted": "an entirely new one"}
        wrong = await api.ask("POST", "/v1/auth/password", person.token, {**body, "present": "not it at all"})
        assert wrong.status_code == 409 and wrong.json()["code"] == "wrong_password"
        assert (await api.ask("POST", "/v1/auth/password", person.token, body)).status_code == 204
        assert [await who(api, token) for token in (person.token, other)] == [200, 401]
        assert (await sign_in(api, person.email)).status_code == 401
        assert (await sign_in(api, person.email, "an entirely new one")).status_code == 200


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaa", "abababababab"])
async def test_easy_passwords_are_refused(connect: Connect, password: str) -> None:
    async with connect() as api:
        person = await api.person("agent")
        answer = await api.ask(
            "POST", "/v1/auth/password", person.token, {"present": PASSWORD, "wanted": password}
        )
        assert answer.status_code == 400 and answer.json()["code"] == "weak_password"


async def test_a_session_taken_from_one_process_is_gone_in_the_other(
    database_url: str, redis_url: str
) -> None:
    async with (
        serving(database_url, redis_url) as one,
        serving(database_url, redis_url) as two,
    ):
        person = await one.person("agent")
        assert await who(two, person.token) == 200, "remembered there now"
        await one.ask("POST", "/v1/auth/logout", person.token)
        async with asyncio.timeout(2):
            while await who(two, person.token) != 401:
                await asyncio.sleep(0.01)


async def test_a_remembered_credential_costs_no_look_up(connect: Connect) -> None:
    async with connect() as api:
        person = await api.person("agent")
        assert await who(api, person.token) == 200
        remembered = api.services.access.remembered
        actor = remembered.get(person.token)
        assert actor is not None and actor.id == person.id
        remembered.forget(person.id)
        assert remembered.get(person.token) is None


async def test_what_was_read_before_a_revocation_is_not_remembered_after_it(connect: Connect) -> None:
    async with connect() as api:
        person = await api.person("agent")
        await who(api, person.token)
        remembered = api.services.access.remembered
        actor = remembered.get(person.token)
        moment = remembered.moment
        remembered.forget(person.id)
        remembered.put(person.token, actor, moment=moment)
        assert remembered.get(person.token) is None


def forged(claims: dict[str, object], key: bytes | str, **options: object) -> str:
    return jwt.encode(claims, key, **options)  # type: ignore[arg-type]


async def test_tokens_of_another_making_are_refused(connect: Connect) -> None:
    async with connect() as api:
        person = await api.person("operator")
        claims = jwt.decode(person.token, options={"verify_signature": False})
        header = jwt.get_unverified_header(person.token)
        key = tokens.derive(SECRET, "jwt api")
        body = person.token.split(".")[1]
        unsigned = base64.urlsafe_b64encode(
            json.dumps({"alg": "none", "kid": header["kid"]}).encode()
        ).decode()
        kid = {"kid": header["kid"]}
        late = {**claims, "exp": now_us() // 1_000_000 - 60}
        for token in (
            forged(claims, "another key that is quite long enough", algorithm="HS256", headers=kid),
            forged(claims, key, algorithm="HS256", headers={"kid": "0"}),
            forged(claims, key, algorithm="HS256"),
            forged({**claims, "aud": "realtime"}, key, algorithm="HS256", headers=kid),
            forged({**claims, "iss": "somebody"}, key, algorithm="HS256", headers=kid),
            forged(
                {name: value for name, value in claims.items() if name != "exp"},
                key,
                algorithm="HS256",
                headers=kid,
            ),
            forged(late, key, algorithm="HS256", headers=kid),
            f"{unsigned.rstrip('=')}.{body}.",
            person.token[:-4] + "AAAA",
        ):
            assert await who(api, token) == 401
        assert await who(api, forged(claims, key, algorithm="HS256", headers=kid)) == 200, "made as ours are"


async def test_a_token_that_expired_says_so(connect: Connect) -> None:
    async with connect() as api:
        person = await api.person("agent")
        claims = jwt.decode(person.token, options={"verify_signature": False})
        header = jwt.get_unverified_header(person.token)
        claims["exp"] = now_us() // 1_000_000 - 60
        late = forged(
            claims, tokens.derive(SECRET, "jwt api"), algorithm="HS256", headers={"kid": header["kid"]}
        )
        answer = await api.ask("GET", "/v1/auth/session", late)
        assert answer.json()["code"] == "token_expired"


async def test_a_new_secret_keeps_old_tokens_for_their_time(database_url: str, redis_url: str) -> None:
    async with serving(database_url, redis_url) as old:
        person = await old.person("agent")
        pair = (await sign_in(old, person.email)).json()
    from api.app import create_app
    from tests.api.harness import in_a_thread, quick_passwords, settings_for

    settings = settings_for(database_url, redis_url)
    import msgspec

    both = msgspec.structs.replace(settings, secret=f"a fresh secret of some length,{SECRET}")
    with in_a_thread(create_app(both, passwords=quick_passwords())) as new:
        async with httpx.AsyncClient(base_url=new.url, trust_env=False) as http:
            known = await http.get(
                "/v1/auth/session", headers={"Authorization": f"Bearer {pair['access_token']}"}
            )
            assert known.status_code == 200
            again = await http.post("/v1/auth/refresh", json={"refresh_token": pair["refresh_token"]})
            assert again.status_code == 200
            kid = jwt.get_unverified_header(again.json()["access_token"])["kid"]
            assert kid != jwt.get_unverified_header(pair["access_token"])["kid"]


async def test_deactivated_people_are_out_at_once_and_stay_out(connect: Connect) -> None:
    async with connect() as api:
        person, admin = await api.person("agent"), await api.person("admin")
        assert await who(api, person.token) == 200
        done = await api.ask("POST", f"/v1/users/{person.id}/deactivate", admin.token)
        assert done.status_code == 200 and done.json()["state"] == "deactivated"
        assert await who(api, person.token) == 401
        assert (await sign_in(api, person.email)).status_code == 401
        await api.ask("PATCH", f"/v1/users/{person.id}", admin.token, {"state": "active"})
        assert (await sign_in(api, person.email)).status_code == 200


async def test_nobody_of_a_suspended_tenant_gets_in(connect: Connect) -> None:
    async with connect() as api:
        tenant = await api.tenant("Late payers")
        person, key = await api.person("admin", tenant_id=tenant), await api.key(tenant_id=tenant)
        operator = await api.operator_key()
        assert (await api.ask("POST", f"/v1/tenants/{tenant}/suspend", operator)).status_code == 200
        assert [await who(api, token) for token in (person.token, key)] == [401, 401]
        assert (await sign_in(api, person.email)).status_code == 401
        await api.ask("POST", f"/v1/tenants/{tenant}/resume", operator)
        assert await who(api, key) == 200


async def test_secrets_are_in_no_answer_and_no_log(
    connect: Connect, capfd: pytest.CaptureFixture[str]
) -> None:
    async with connect() as api:
        person = await api.person("agent")
        wrong = await sign_in(api, person.email, "a very secret guess")
        pair = (await sign_in(api, person.email)).json()
        await refresh(api, "irr_" + "0" * 26 + "_1_" + "B" * 43)
        assert "a very secret guess" not in wrong.text and PASSWORD not in json.dumps(pair)
        said = "".join(capfd.readouterr())
        for secret in (
            PASSWORD,
            "a very secret guess",
            pair["refresh_token"],
            pair["access_token"],
            person.email,
        ):
            assert secret not in said
