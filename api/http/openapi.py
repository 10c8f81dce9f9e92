"""The OpenAPI 3.1 document, made from the operations' own declarations.

``python -m api.http.openapi`` prints it (the pages' types are generated from that), ``--markdown`` prints the table
of endpoints for people.
"""

import sys
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
import orjson

from api.http.openapi_parts import (
    COMMON_PROBLEMS,
    HEADERS,
    INTRODUCTION,
    PARAMETERS,
    Schema,
    filter_parameter,
)
from api.http.operation import PUBLIC, SIGNED_IN, Operation
from api.http.patterns import documented
from api.http.problem import TITLES, Problem
from api.http.table import GROUPS, OPERATIONS
from api.http.version import API_VERSION


def build() -> Schema:
    """The whole document."""
    types = _types(OPERATIONS)
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schemas, components = documented(schemas), documented(components)
    by_type = dict(zip(map(id, types), schemas, strict=True))
    paths: dict[str, Schema] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.route, {})[operation.method.lower()] = _operation(operation, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "IRISX",
            "version": API_VERSION,
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This server"}],
        "security": [{"bearer": []}],
        "tags": [
            {"name": group.tag, "description": group.description} for group in GROUPS if group.description
        ],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "responses": {f"Problem{status}": _problem(status) for status in sorted(COMMON_PROBLEMS)},
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An access token from `/v1/auth/login`, or an API key (`irx_…`).",
                }
            },
        },
    }


def _types(operations: Iterable[Operation]) -> list[Any]:
    types: list[Any] = [Problem]
    for operation in operations:
        for one in (operation.body, operation.answers):
            if one is not None and all(one is not known for known in types):
                types.append(one)
    return types


def _operation(operation: Operation, by_type: dict[int, Schema]) -> Schema:
    document: Schema = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": _described(operation),
        "tags": [operation.tag],
        "parameters": _parameters(operation),
        "responses": _responses(operation, by_type),
        "x-permission": operation.permission,
    }
    if operation.permission == PUBLIC:
        document["security"] = []
    if operation.body is not None:
        document["requestBody"] = {
            "required": not operation.body_optional,
            "content": {"application/json": {"schema": by_type[id(operation.body)]}},
        }
    elif operation.takes:
        document["requestBody"] = {
            "required": True,
            "content": {operation.takes: {"schema": {"type": "string", "format": "binary"}}},
        }
    return document


def _described(operation: Operation) -> str:
    text = " ".join(operation.description.split())
    if operation.permission == SIGNED_IN:
        return f"{text}\n\nFor anybody who is signed in."
    if operation.permission == PUBLIC:
        return f"{text}\n\nNeeds no credential."
    return f"{text}\n\nNeeds the permission `{operation.permission}`."


def _parameters(operation: Operation) -> list[Schema]:
    found: list[Schema] = [
        {
            "name": path.name,
            "in": "path",
            "required": True,
            "description": path.description,
            "schema": {"type": "string", "pattern": f"^{path.pattern}$"},
        }
        for path in operation.paths
    ]
    for param in operation.params:
        one = {
            "name": param.name,
            "in": "query",
            "required": param.required,
            "description": param.description,
            "schema": dict(param.schema),
        }
        if param.schema.get("type") == "array":
            one |= {"style": "form", "explode": False}
        found.append(one)
    found += [filter_parameter(one) for one in operation.filters]
    if operation.listing:
        found += [_ref("Limit"), _ref("Cursor")]
    if operation.trimmed:
        found.append(_ref("Fields"))
    if operation.idempotency != "none":
        required = operation.idempotency == "required"
        found.append(_ref("IdempotencyKeyRequired" if required else "IdempotencyKey"))
    if operation.if_match:
        found.append(_ref("IfMatch"))
    if operation.etag and operation.method == "GET":
        found.append(_ref("IfNoneMatch"))
    if operation.ranges:
        found.append(_ref("Range"))
    if operation.media == "text/event-stream":
        found.append(_ref("LastEventId"))
    if operation.permission != PUBLIC:
        found.append(_ref("Tenant"))
    return [*found, _ref("RequestId"), _ref("ApiVersion")]


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/parameters/{name}"}


def _responses(operation: Operation, by_type: dict[int, Schema]) -> dict[str, Schema]:
    success: Schema = {"description": operation.summary, "headers": _headers(operation)}
    if operation.answers is not None:
        schema = by_type[id(operation.answers)]
        if operation.listing:
            schema = {
                "type": "object",
                "required": ["data", "has_more", "next_cursor"],
                "properties": {
                    "data": {"type": "array", "items": schema},
                    "has_more": {"type": "boolean"},
                    "next_cursor": {"type": ["string", "null"]},
                },
            }
        success["content"] = {operation.media: {"schema": schema}}
    responses = {str(operation.status): success}
    if operation.etag and operation.method == "GET":
        responses["304"] = {"description": "It has not changed since `If-None-Match`."}
    if operation.ranges:
        responses["206"] = {**success, "description": "The piece that `Range` names."}
    for status in problems_of(operation):
        responses[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    if operation.name in ("get_ready", "get_deep"):
        responses["503"] = {"description": "Not now; the body says why.", "content": success["content"]}
    return responses


def problems_of(operation: Operation) -> list[int]:
    """All error statuses an operation may answer, from its own declaration and from what it takes part in."""
    found = {400, 429, 503, *operation.problems}
    if operation.permission != PUBLIC:
        found |= {401, 404}  # 404: the tenant that an operator names
        if operation.permission != SIGNED_IN:
            found.add(403)
    if operation.body is not None or operation.takes:
        found |= {413, 415}
    if operation.idempotency != "none":
        found |= {409, 422}
    if operation.if_match:
        found.add(412)
    if operation.ranges:
        found.add(416)
    if operation.method != "GET":
        found |= {403, 504}
    return sorted(found)


def _headers(operation: Operation) -> Schema:
    names = ["RequestId", "ApiVersion", "RateLimit", "RateLimitPolicy"]
    if operation.etag:
        names.append("ETag")
    if operation.idempotency != "none":
        names.append("IdempotentReplayed")
    spelled = {
        "RequestId": "Request-Id",
        "ApiVersion": "Api-Version",
        "RateLimitPolicy": "RateLimit-Policy",
        "IdempotentReplayed": "Idempotent-Replayed",
    }
    return {spelled.get(name, name): {"$ref": f"#/components/headers/{name}"} for name in names}


def _problem(status: int) -> Schema:
    document: Schema = {
        "description": COMMON_PROBLEMS[status],
        "content": {
            "application/problem+json": {
                "schema": {
                    "allOf": [{"$ref": "#/components/schemas/Problem"}],
                    "properties": {"status": {"const": status}, "title": {"const": TITLES[status]}},
                }
            }
        },
        "headers": {"Request-Id": {"$ref": "#/components/headers/RequestId"}},
    }
    if status in (429, 503):
        document["headers"]["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
    if status == 401:
        document["headers"]["WWW-Authenticate"] = {"$ref": "#/components/headers/WWWAuthenticate"}
    return document


@cache
def text() -> bytes:
    """The document as it is served and committed: indented, members in a fixed order."""
    return orjson.dumps(build(), option=orjson.OPT_INDENT_2) + b"\n"


def markdown() -> str:
    """The endpoints as tables, one a resource."""
    lines: list[str] = []
    for group in GROUPS:
        if not group.description:
            continue
        lines += [f"### {group.tag}", "", group.description, ""]
        lines += ["| endpoint | permission | what it does |", "|---|---|---|"]
        lines += [
            f"| `{operation.method} {operation.route}` | {operation.permission} | {operation.summary} |"
            for operation in OPERATIONS
            if operation.tag == group.tag
        ]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    if "--markdown" in sys.argv[1:]:
        sys.stdout.write(markdown())
    else:
        sys.stdout.buffer.write(text())


if __name__ == "__main__":
    main()
