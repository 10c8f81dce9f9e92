"""What switches ask for: which telephone has which password (FreeSWITCH's mod_xml_curl).

A switch proves itself with a password of its own (HTTP basic authentication, RFC 7617), which an operator puts into its
configuration: `GET /v1/nodes/{node_id}/directory-access`. It remembers each answer for a minute, so that telephones go on
registering and calling while we are away.
"""

import base64
import binascii
from urllib.parse import parse_qs

from msgspec import Struct

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.body import read_body
from api.http.nodes import NODE, find
from api.http.operation import PUBLIC, Group
from api.http.problem import Refused
from core.access.switches import directory_password, is_directory_password
from core.model.directory import DOMAIN, NOT_FOUND, user_document
from core.storage import endpoints as store

switch_directory = Group("nodes")

MAX_BODY = 64 * 1024
"""mod_xml_curl sends what it knows of the request: some kilobytes."""
MAX_FIELDS = 400


class DirectoryAccess(Struct):
    """What goes into `irisx freeswitch-config --directory-url … --directory-password …`."""

    url: str
    user: str
    password: str


@switch_directory.operation(
    "GET",
    "/nodes/{node_id}/directory-access",
    permission="nodes:write",
    summary="How a switch asks for its telephones",
    answers=DirectoryAccess,
    paths=[NODE],
    problems=[404],
)
async def get_directory_access(ask: Ask[None]) -> Answer:
    """The same each time, as long as the installation's secret is."""
    node = await find(ask)
    base = ask.services.settings.public_url.rstrip("/")
    if not base:
        host = dict(ask.scope["headers"]).get(b"host", b"localhost").decode("latin-1")
        base = f"{'https' if ask.services.is_secure(ask.scope) else 'http'}://{host}"
    url = f"{base}/v1/nodes/{node.id}/directory"
    return json_answer(DirectoryAccess(url, node.id, directory_password(ask.services.secret, node.id)))


@switch_directory.operation(
    "POST",
    "/nodes/{node_id}/directory",
    permission=PUBLIC,
    summary="Look a telephone up",
    paths=[NODE],
    takes="application/x-www-form-urlencoded",
    problems=[401, 413],
    media="text/xml",
    streaming=True,
    bucket="webhooks",
    idempotency="none",
)
async def look_up_telephone(ask: Ask[None]) -> Answer:
    """For switches, in their own words: a form with `section`, `user` and `domain`; the answer is XML."""
    receive, send = ask.transport
    headers = dict(ask.scope["headers"])
    _check(ask, headers.get(b"authorization", b"").decode("latin-1"))
    length = headers.get(b"content-length", b"")
    raw = await read_body(length, receive, most=MAX_BODY, what="a directory request")
    found = await _look_up(ask, raw)
    lines = [
        (b"content-type", b"text/xml; charset=utf-8"),
        (b"content-length", b"%d" % len(found)),
        (b"request-id", ask.request_id.encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": lines})
    await send({"type": "http.response.body", "body": found})
    return Answer(200)


def _check(ask: Ask[None], given: str) -> None:
    node_id = ask.path["node_id"]
    scheme, _, encoded = given.partition(" ")
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        user = password = ""
    right = is_directory_password(ask.services.secret, node_id, password)
    if scheme.lower() != "basic" or user != node_id or not right:
        asks = [("www-authenticate", 'Basic realm="irisx"')]
        raise Refused(401, "not_this_switch", "a switch shows its own id and password", headers=asks)


async def _look_up(ask: Ask[None], raw: bytes) -> bytes:
    try:
        form = parse_qs(raw.decode(), max_num_fields=MAX_FIELDS)
    except (ValueError, UnicodeDecodeError):
        return NOT_FOUND

    def one(name: str) -> str:
        return form.get(name, [""])[0]

    if one("section") != "directory" or one("domain") != DOMAIN or not one("user").isalnum():
        return NOT_FOUND
    found = await store.credentials_of(ask.services.database, one("user"), secret=ask.services.secret)
    if found is None:
        return NOT_FOUND
    return user_document(one("user"), found.a1_hash, tenant_id=found.tenant_id, endpoint_id=found.endpoint_id)
