"""The HTTP client of the command line: the public API, nothing else.

Every refusal becomes a `Failure` with the API's own sentence. Nothing is sent twice: a command on a call whose answer
did not come is reported as unknown, never repeated.
"""

import platform
import uuid
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from api.commands import profile
from api.commands.common import Failure
from api.commands.profile import Profile

if TYPE_CHECKING:
    import httpx

READ_S = 15.0
"""More than the API itself waits for a controller (10 s)."""
CONNECT_S = 5.0
PAGE = 200
"""The most that the API gives at once."""

Params = Mapping[str, str | int | bool]


class Client:
    """One conversation with the API."""

    def __init__(self, who: Profile, *, key: str | None = None) -> None:
        import httpx

        self.who = who
        headers = {"User-Agent": f"irisx-cli ({platform.system()})", "Accept": "application/json"}
        if credential := who.key if key is None else key:
            headers["Authorization"] = f"Bearer {credential}"
        if who.tenant:
            headers["Tenant"] = who.tenant
        try:
            self._http = httpx.Client(
                base_url=f"{who.url}/v1", headers=headers, timeout=httpx.Timeout(READ_S, connect=CONNECT_S)
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise Failure(f"{who.url} is no address: {error}", exit_code=2) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, params: Params | None = None) -> Any:
        return self._send("GET", path, params=params)

    def post(self, path: str, body: object = None, *, once: bool = False) -> Any:
        """``once`` sends an Idempotency-Key, for what the API wants one for."""
        headers = {"Idempotency-Key": str(uuid.uuid4())} if once else {}
        return self._send("POST", path, body=body, headers=headers)

    def patch(self, path: str, body: object) -> Any:
        return self._send("PATCH", path, body=body)

    def delete(self, path: str, body: object = None) -> Any:
        return self._send("DELETE", path, body=body)

    def pages(self, path: str, params: Params | None = None, *, most: int) -> Iterator[dict[str, Any]]:
        """The first ``most`` things of a list, page after page."""
        cursor = ""
        left = most
        while left > 0:
            asked: dict[str, str | int | bool] = {**(params or {}), "limit": min(left, PAGE)}
            if cursor:
                asked["cursor"] = cursor
            page = self.get(path, asked)
            yield from page["data"]
            left -= len(page["data"])
            cursor = page.get("next_cursor") or ""
            if not cursor:
                return

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        import httpx

        flat = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in (params or {}).items()}
        try:
            answer = self._http.request(method, path, params=flat, json=body, headers=headers)
        except httpx.ConnectError as error:
            raise Failure(
                f"nothing answers at {self.who.url}: is it running (irisx up), is IRISX_URL right?"
            ) from error
        except httpx.TimeoutException as error:
            unsure = "" if method == "GET" else "; whether it was done is not known"
            raise Failure(f"{self.who.url} gave no answer in time{unsure}") from error
        except httpx.HTTPError as error:
            raise Failure(f"the connection to {self.who.url} broke: {type(error).__name__}") from error
        if answer.is_success:
            return answer.json() if answer.content else None
        raise _refusal(answer, self.who)


class Refused(Failure):
    """The API said no."""

    def __init__(self, text: str, status: int, code: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


def _refusal(answer: "httpx.Response", who: Profile) -> Failure:
    try:
        problem = answer.json()
        detail = str(problem.get("detail") or problem.get("title") or "refused")
        code = str(problem.get("code", ""))
    except (ValueError, AttributeError):
        return Refused(
            f"{who.url} answered {answer.status_code}, and not as IRISX does", answer.status_code, ""
        )
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        detail = f"{detail}: irisx login, or set IRISX_API_KEY" if who.key else "not signed in: irisx login"
    elif answer.status_code == HTTPStatus.TOO_MANY_REQUESTS and (wait := answer.headers.get("Retry-After")):
        detail = f"{detail}; try again in {wait} s"
    request = str(problem.get("request_id", ""))
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR and request:
        detail = f"{detail} (request {request})"
    return Refused(detail, answer.status_code, code)


def connect() -> Client:
    """A client with the key of the environment or of `irisx login`."""
    who = profile.current()
    if not who.key:
        raise Failure("not signed in: irisx login, or set IRISX_API_KEY")
    return Client(who)
