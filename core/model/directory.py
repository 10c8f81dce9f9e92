"""What a switch's directory says of a telephone: the XML that mod_xml_curl asks for. Pure.

FreeSWITCH asks at each registration and each call of a telephone, unless it has been told that it may remember
(``cacheable``, switch_xml.c: for so many milliseconds): then telephones go on registering while nobody answers.
"""

import hashlib
from xml.sax.saxutils import quoteattr

DOMAIN = "irisx.phones"
"""The digest realm of the phones profile, as the templates of `freeswitch.conf` have it."""
REMEMBERED_MS = 60_000
NOT_FOUND = (
    b'<?xml version="1.0"?>\n<document type="freeswitch/xml"><section name="result">'
    b'<result status="not found"/></section></document>\n'
)


def a1_hash(username: str, password: str) -> str:
    """HA1 of RFC 2617 in the phones' realm. MD5 is what digest over SIP is made of; it protects nothing else here."""
    return hashlib.md5(f"{username}:{DOMAIN}:{password}".encode(), usedforsecurity=False).hexdigest()


def user_document(username: str, a1: str, *, tenant_id: str, endpoint_id: str) -> bytes:
    """The directory's answer about one user. Its calls name their tenant, and the endpoint that they come from."""
    variables = {
        "user_context": "phones",
        "irisx_tenant": tenant_id,
        "irisx_endpoint": endpoint_id,
    }
    shown = "".join(
        f"<variable name={quoteattr(name)} value={quoteattr(value)}/>" for name, value in variables.items()
    )
    # The switch expands no functions in a dial string (`api-expansion` is off), so the registration is named.
    params = {"a1-hash": a1, "dial-string": f"sofia/phones/{username}%{DOMAIN}"}
    given = "".join(
        f"<param name={quoteattr(name)} value={quoteattr(value)}/>" for name, value in params.items()
    )
    return (
        '<?xml version="1.0"?>\n<document type="freeswitch/xml"><section name="directory">'
        f'<domain name="{DOMAIN}"><groups><group name="phones"><users>'
        f'<user id={quoteattr(username)} cacheable="{REMEMBERED_MS}"><params>{given}</params>'
        f"<variables>{shown}</variables></user>"
        "</users></group></groups></domain></section></document>\n"
    ).encode()
