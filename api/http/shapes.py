"""Small types that several resources share."""

from typing import Annotated

from msgspec import Meta, Struct

from api.http.patterns import whole
from core.access.roles import BUILT_IN, PERMISSIONS

Name = Annotated[
    str,
    Meta(min_length=1, max_length=120, pattern=whole(r"[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*")),
]
"""A name for people: something visible, no control characters."""
Text = Annotated[str, Meta(max_length=1000, pattern=whole(r"[^\x00]*"))]
Email = Annotated[
    str, Meta(min_length=3, max_length=254, pattern=whole(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,189}"))
]
Permission = Annotated[str, Meta(extra_json_schema={"enum": sorted(PERMISSIONS)})]
"""Checked by the handlers, which say which one is unknown."""
RoleId = Annotated[str, Meta(pattern=whole(rf"({'|'.join(BUILT_IN)}|rol_[0-9a-z]{{1,40}})"))]
Password = Annotated[str, Meta(min_length=1, max_length=1024)]
PhoneOrTarget = Annotated[
    str,
    Meta(
        max_length=255,
        pattern=whole(r"(\+?[0-9*#]{1,32}|user:[A-Za-z0-9_.-]{1,64}(@[A-Za-z0-9_.:-]{1,128})?)"),
        description="A number (`+442071234567`, `1000`) or a registered phone (`user:NAME`, `user:NAME@domain`).",
    ),
]


class Body(Struct, forbid_unknown_fields=True):
    """Base of request bodies: a member we do not know is refused, so a typing error cannot be overlooked."""
