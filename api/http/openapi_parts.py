"""The fixed parts of the OpenAPI document: words, shared parameters and headers, and how filters look."""

import re
from typing import Any

from api.http.query import DEFAULT_LIMIT, MAX_IN, MAX_INTEGER, MAX_LIMIT, OPS, Filter
from api.http.version import API_VERSION

Schema = dict[str, Any]

INTRODUCTION = """Control FreeSWITCH and know every call.

**Signing in.** Programs send an API key, people an access token, both as `Authorization: Bearer …`.
**Lists** take `limit` (1-200) and `cursor`, and answer `data`, `has_more`, `next_cursor`. **Filters** are
`field[op]=value`; what is not known is refused. **Errors** are `application/problem+json` with a stable `code`.
**Repeating** a POST is safe with an `Idempotency-Key`; where a person's phone may ring it is required.
**Versions** of single things are their `ETag`; changes take `If-Match`. Times that end in `_us` are microseconds
since 1970-01-01 UTC, others are RFC 3339 in UTC."""

COMMON_PROBLEMS = {
    400: "The request is not valid: `errors` says where.",
    401: "There is no valid credential.",
    403: "The credential lacks the permission.",
    404: "There is no such thing, or none that this caller may know of.",
    409: "The present state does not allow it, or a first request with this `Idempotency-Key` still runs.",
    412: "It is not the version that `If-Match` names.",
    413: "The body is too large.",
    415: "The body is not `application/json`.",
    416: "The `Range` begins behind the end.",
    422: "The `Idempotency-Key` was used for another request.",
    429: "Too many requests: wait as long as `Retry-After` says.",
    502: "The switch failed.",
    503: "Nobody can do it now, and nothing was done: try again after `Retry-After` seconds.",
    504: "No answer in time: whether it was done is not known.",
}


def filter_parameter(one: Filter) -> Schema:
    single = _single(one)
    properties = {op: single for op in OPS[one.kind]}
    if "in" in properties:
        # Values separated by commas, as in every other list of ours.
        properties["in"] = _many(one)
    return {
        "name": one.name,
        "in": "query",
        "required": False,
        "style": "deepObject",
        "explode": True,
        "description": f"Filter: `{one.name}[op]=value` with {', '.join(OPS[one.kind])}.",
        "schema": {"type": "object", "properties": properties, "additionalProperties": False},
    }


def _single(one: Filter) -> Schema:
    if one.kind == "word":
        return {"type": "string", "enum": list(one.words)}
    if one.kind == "integer":
        return {"type": "integer", "minimum": -MAX_INTEGER, "maximum": MAX_INTEGER}
    if one.kind == "boolean":
        return {"type": "boolean"}
    if one.kind == "time":
        return {"type": "string", "format": "date-time"}
    return {"type": "string", "maxLength": 200, "pattern": "^[^\\x00]*$"}


def _many(one: Filter) -> Schema:
    if one.kind == "word":
        word = "(" + "|".join(map(re.escape, one.words)) + ")"
        return {"type": "string", "pattern": f"^{word}(,{word}){{0,{MAX_IN - 1}}}$"}
    return {"type": "string", "pattern": f"^[^\\x00,]{{1,100}}(,[^\\x00,]{{1,100}}){{0,{MAX_IN - 1}}}$"}


def _parameter(name: str, where: str, description: str, schema: Schema, *, required: bool = False) -> Schema:
    return {"name": name, "in": where, "required": required, "description": description, "schema": schema}


_KEY: Schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
PARAMETERS: Schema = {
    "Limit": _parameter(
        "limit",
        "query",
        "At most so many rows.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
    "Cursor": _parameter(
        "cursor", "query", "`next_cursor` of the page before.", {"type": "string", "maxLength": 300}
    ),
    "Fields": _parameter(
        "fields",
        "query",
        "Only these members of each thing (and `id`), separated by commas; all others are left out.",
        {"type": "string"},
    ),
    "IdempotencyKey": _parameter(
        "Idempotency-Key",
        "header",
        "Makes a repetition safe: it gets the first answer again, for a day.",
        _KEY,
    ),
    "IdempotencyKeyRequired": _parameter(
        "Idempotency-Key",
        "header",
        "Required, because a phone may ring: a repetition gets the first answer again, for a day.",
        _KEY,
        required=True,
    ),
    "IfMatch": _parameter(
        "If-Match",
        "header",
        "The ETag of the version to be changed; 412 when it is another by now.",
        {"type": "string"},
    ),
    "IfNoneMatch": _parameter(
        "If-None-Match",
        "header",
        "The ETag that is known already; 304 while it is still that.",
        {"type": "string"},
    ),
    "Range": _parameter(
        "Range",
        "header",
        "One piece of it, as `bytes=0-65535`; answered with 206. Anything else is answered with the whole.",
        {"type": "string"},
    ),
    "LastEventId": _parameter(
        "Last-Event-ID",
        "header",
        "Like `after_seq`: the number of the last event that was seen.",
        {"type": "string"},
    ),
    "Tenant": _parameter(
        "Tenant",
        "header",
        "For operators: the tenant to act in. Without it the own one.",
        {"type": "string", "pattern": "^tnt_[0-9a-z]{1,40}$"},
    ),
    "RequestId": _parameter(
        "Request-Id",
        "header",
        "An id of your own for this request: it is on the answer, in our logs and on what follows from it. One that is "
        "not 1-64 of `A-Z a-z 0-9 . _ -` is replaced.",
        {"type": "string"},
    ),
    "ApiVersion": _parameter(
        "Api-Version", "header", "The dated version wanted.", {"type": "string", "enum": [API_VERSION]}
    ),
}
HEADERS: Schema = {
    "RequestId": {"description": "The id of this request.", "schema": {"type": "string"}},
    "ApiVersion": {"description": "The version that answered.", "schema": {"type": "string"}},
    "RateLimit": {"description": 'What is left: `"reads";r=899;t=1`.', "schema": {"type": "string"}},
    "RateLimitPolicy": {"description": 'The limit: `"reads";q=900;w=3`.', "schema": {"type": "string"}},
    "ETag": {"description": "The version of the thing.", "schema": {"type": "string"}},
    "IdempotentReplayed": {
        "description": "`true` when this is the kept answer to an earlier request.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "RetryAfter": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}},
    "WWWAuthenticate": {"description": "How to authenticate.", "schema": {"type": "string"}},
}
