"""The document that is served is complete, valid, committed, and says the same as the routes."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.app import create_app
from api.http import openapi
from api.http.events import EVENT_TYPES
from api.http.operation import PUBLIC, SIGNED_IN
from api.http.problem_codes import CODES
from api.http.table import OPERATIONS
from core.access.roles import PERMISSIONS
from core.config import Settings
from core.telephony.orders import AT_ONCE, IN_TURN, ON_NODES

ROOT = Path(__file__).parents[2]
DOCUMENT = msgspec.json.decode(openapi.text())
EACH = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.route}")


def described(operation: Any) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][operation.route][operation.method.lower()]
    return found


def test_the_document_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert not list(OpenAPIV31SpecValidator(each_part_once(DOCUMENT)).iter_errors())


def each_part_once(document: Any) -> Any:
    """The document without the parameters and answers that an earlier operation has word by word: the validator looks at
    each anew, and most are everywhere. Those of paths stay, for each must declare its own."""
    seen: set[bytes] = set()

    def is_new(part: Any) -> bool:
        text = msgspec.json.encode(part)
        known = text in seen
        seen.add(text)
        return not known

    lean = msgspec.json.decode(msgspec.json.encode(document))
    for path in lean["paths"].values():
        for operation in path.values():
            parameters = operation.get("parameters", [])
            operation["parameters"] = [one for one in parameters if is_new(one) or one.get("in") == "path"]
            answers = operation["responses"].items()
            # (an operation without any answer is not valid)
            operation["responses"] = {key: one for key, one in answers if is_new(one)} or dict([*answers][:1])
    return lean


def test_the_committed_document_is_the_present_one() -> None:
    committed = (ROOT / "dashboards" / "openapi.json").read_bytes()
    assert committed == openapi.text(), "run: python -m api.http.openapi > dashboards/openapi.json"


def test_the_table_of_endpoints_for_people_is_the_present_one() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    assert openapi.markdown().strip() in page, "docs/api.md: run python -m api.http.openapi --markdown"


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len(set(names)) == len(names)


@EACH
def test_every_operation_says_what_it_is(operation: Any) -> None:
    page = described(operation)
    assert page["summary"] and len(page["description"]) > 20
    assert page["tags"] == [operation.tag]
    assert operation.tag in [tag["name"] for tag in DOCUMENT["tags"]]
    assert page["operationId"] == operation.name


@EACH
def test_every_operation_says_how_it_answers_and_refuses(operation: Any) -> None:
    responses = described(operation)["responses"]
    success = responses[str(operation.status)]
    assert ("content" in success) == (operation.answers is not None)
    assert "429" in responses
    assert "400" in responses
    if operation.permission != PUBLIC:
        assert "401" in responses
    if operation.permission not in (PUBLIC, SIGNED_IN):
        assert "403" in responses


@EACH
def test_every_operation_names_who_may_use_it(operation: Any) -> None:
    assert operation.permission in PERMISSIONS or operation.permission in (PUBLIC, SIGNED_IN)
    page = described(operation)
    assert page["x-permission"] == operation.permission
    assert (page.get("security") == []) == (operation.permission == PUBLIC)


def test_only_these_need_no_credential() -> None:
    public = {operation.name for operation in OPERATIONS if operation.permission == PUBLIC}
    assert public == {
        *("login", "refresh", "logout", "get_live", "get_ready", "get_version"),
        *("list_problem_codes", "get_problem_code"),
        # Providers bring proofs of their own.
        *("receive_webhook", "prove_webhook"),
        # Its address is signed.
        "get_public_attachment",
        "get_public_recording",
        # A switch shows a password of its own.
        "look_up_telephone",
    }


def test_nothing_is_served_that_is_not_declared() -> None:
    """Every route belongs to an operation, so no route is without a permission; three are no operations."""
    application = create_app(Settings(secret="x" * 32))
    undeclared = []
    served = set()
    for route in application.litestar.routes:
        for handler in getattr(route, "route_handlers", None) or [route.route_handler]:  # type: ignore[union-attr]
            operation = handler.opt.get("operation")
            if operation is not None:
                served.add((operation.method, operation.route))
            elif "OPTIONS" not in getattr(handler, "http_methods", ()):
                undeclared.append(route.path)
    assert sorted(undeclared) == ["/v1/openapi.json", "/v1/stream"]
    assert served == {(operation.method, operation.route) for operation in OPERATIONS}


def test_a_phone_never_rings_without_an_idempotency_key() -> None:
    required = {operation.name for operation in OPERATIONS if operation.idempotency == "required"}
    assert required >= {"originate_call", "create_conference", "add_participant"}


def test_bodies_refuse_members_that_they_do_not_have() -> None:
    for operation in OPERATIONS:
        if operation.body is not None and isinstance(operation.body, type) and operation.body is not dict:
            fields = getattr(operation.body, "__struct_config__", None)
            assert fields is None or fields.forbid_unknown_fields, operation.name


def test_every_code_in_the_source_is_explained() -> None:
    told = re.compile(r"""code(?:: str)? ?= ?"([a-z_]+)"|Refused\(\s*\d+,\s*"([a-z_]+)\"""")
    rooms = ("api/http", "core/access", "core/telephony")
    files = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    files += [
        ROOT / "core" / name
        for name in (
            *(
                "errors.py",
                "bus/orders.py",
                "channels.py",
                "conversations.py",
                "presence.py",
                "model/addresses.py",
            ),
            *(
                "storage/contacts.py",
                "storage/contact_rows.py",
                "storage/identities.py",
                "storage/contact_merges.py",
                "storage/contact_import.py",
                "storage/content.py",
            ),
            *("storage/conversation_merges.py", "storage/conversation_people.py", "storage/acting.py"),
            *(
                "storage/versions.py",
                "storage/errors.py",
                "storage/nodes.py",
                "storage/channels.py",
                "storage/conversations.py",
            ),
            *("storage/agents.py", "storage/agent_admin.py", "storage/reservations.py", "storage/queues.py"),
            *("storage/queue_lists.py", "storage/queue_tend.py", "storage/queue_entries.py"),
        )
    ]
    not_ours = {"embedded_failed", "fence_lost", "bad_key", "unreadable"}  # never cross the API
    for path in files:
        for found in told.findall(path.read_text()):
            code = found[0] or found[1]
            assert code in CODES or code in not_ours, f"{path.name}: {code} is not in problem_codes.py"


def test_every_type_of_entry_in_the_source_is_listed() -> None:
    word = re.compile(r'"((?:call|conference|node)\.[a-z_]+[a-z])"')
    files = [*(ROOT / "core/model").glob("*.py"), *(ROOT / "core/telephony").glob("*.py")]
    files += [ROOT / "core/storage/nodes.py", ROOT / "api/http/timeline.py"]
    actions = {*AT_ONCE, *IN_TURN, *ON_NODES}
    for path in files:
        for name in set(word.findall(path.read_text())) - actions:
            assert name in EVENT_TYPES, f"{path.name}: {name} is not in events.py"


def test_the_document_is_json_that_browsers_can_hold() -> None:
    assert msgspec.json.decode(openapi.text())["info"]["title"] == "IRISX"
