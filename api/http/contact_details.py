"""What belongs to a contact: addresses, notes, conversations, the timeline; merging two, and many from a table."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.contacts import CONTACT, Contact, Identity, IdentityOf, identity_of
from api.http.conversations import FILTERS as CONVERSATION_FILTERS
from api.http.conversations import Conversation
from api.http.lists import page_answer
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.problem import bad_value
from api.http.shapes import Body
from core.storage import contact_import, contact_merges, contact_search, identities
from core.storage import contacts as store
from core.storage import conversations as conversation_store
from core.storage.contact_import import Imported
from core.storage.contact_rows import Is

contact_details = Group("contacts")

IDENTITY = Path("identity_id", "The address's id: `idn_…`.")
MERGE = Path("merge_id", "The merge's id: `mrg_…`.")
ContactId = Annotated[str, Meta(pattern=whole(r"ctc_[0-9a-z]{1,40}"))]


class ContactNote(Struct):
    """Something to know about a person."""

    id: str
    contact_id: str
    author: str
    text: str
    created_us: int


class NewContactNote(Body):
    text: Annotated[str, Meta(min_length=1, max_length=10_000, pattern=whole(r"[^\x00]*"))]


class TimelineItem(Struct):
    """A message (or note), or a call that has ended."""

    type: Literal["message", "call"]
    at_us: int
    message: dict[str, Any] | None = None
    """As in the list of a conversation's messages."""
    call: dict[str, Any] | None = None
    """As in the list of call detail records."""


class MergeContacts(Body):
    kept: ContactId
    gone: ContactId
    even_if_verified: bool = False
    """Merge also when both have a verified address of one kind, and those differ."""


class ContactMerge(Struct):
    """Two contacts that became one."""

    id: str
    kept: str
    gone: str
    actor: str
    merged_us: int
    undone_us: int


class Merged(Struct):
    """The contact that was kept, and what undoing the merge needs."""

    merge_id: str
    contact: Contact


class ContactTable(Body):
    csv: Annotated[str, Meta(min_length=1, max_length=250_000, pattern=whole(r"[^\x00]*"))]
    """The first row names the columns: name, company, language, timezone, phone, email, attribute.…"""
    region: Annotated[str, Meta(pattern=whole(r"([A-Z]{2})?"))] = ""
    """Where telephone numbers without a country code belong: `DE`."""
    update: bool = False
    """Rows with a known address fill in what that contact lacks, instead of being refused."""


@contact_details.operation(
    "GET",
    "/contacts/{contact_id}/identities",
    permission="contacts:read",
    summary="A contact's addresses",
    answers=list[Identity],
    paths=[CONTACT],
    problems=[404],
)
async def list_identities(ask: Ask[None]) -> Answer:
    """All of them, oldest first."""
    body = await identities.identities_of(ask.services.database, ask.tenant_id, ask.path["contact_id"])
    return Answer(200, body)


@contact_details.operation(
    "POST",
    "/contacts/{contact_id}/identities",
    permission="contacts:write",
    summary="Give a contact an address",
    body=IdentityOf,
    answers=Contact,
    status=201,
    paths=[CONTACT],
    problems=[404, 409],
)
async def add_identity(ask: Ask[IdentityOf]) -> Answer:
    """409 `identity_taken` names the contact that has it. Whoever writes from it is this contact from now on."""
    body = await identities.add_identity(
        ask.services.database,
        ask.tenant_id,
        ask.path["contact_id"],
        identity_of(ask.body),
        actor=ask.actor.id,
        request_id=ask.request_id,
    )
    return Answer(201, body)


@contact_details.operation(
    "DELETE",
    "/contacts/{contact_id}/identities/{identity_id}",
    permission="contacts:write",
    summary="Take an address from a contact",
    paths=[CONTACT, IDENTITY],
    problems=[404, 409],
)
async def remove_identity(ask: Ask[None]) -> Answer:
    """Whoever writes from it next is a new contact."""
    await identities.remove_identity(
        ask.services.database,
        ask.tenant_id,
        ask.path["contact_id"],
        ask.path["identity_id"],
        actor=ask.actor.id,
        request_id=ask.request_id,
    )
    return Answer(204)


@contact_details.operation(
    "GET",
    "/contacts/{contact_id}/conversations",
    permission="conversations:read",
    summary="A contact's conversations, newest message first",
    answers=Conversation,
    listing=True,
    paths=[CONTACT],
    problems=[404],
    filters=[one for one in CONVERSATION_FILTERS if one.name != "contact_id"],
)
async def list_contact_conversations(ask: Ask[None]) -> Answer:
    """On all channels."""
    contact_id = ask.path["contact_id"]
    await store.get_contact(ask.services.database, ask.tenant_id, contact_id)
    page = await conversation_store.list_conversations(
        ask.services.database,
        ask.tenant_id,
        [*ask.query.conditions, Is("contact_id", contact_id)],
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)


@contact_details.operation(
    "GET",
    "/contacts/{contact_id}/timeline",
    permission="conversations:read",
    summary="Everything with one person, newest first",
    answers=TimelineItem,
    listing=True,
    trimmed=False,
    paths=[CONTACT],
    problems=[404],
)
async def get_timeline(ask: Ask[None]) -> Answer:
    """Messages and notes of all conversations; for those who hold `cdrs:read`, also calls with the person's numbers."""
    page = await contact_search.timeline(
        ask.services.database,
        ask.tenant_id,
        ask.path["contact_id"],
        calls=ask.actor.may("cdrs:read"),
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)


@contact_details.operation(
    "GET",
    "/contacts/{contact_id}/notes",
    permission="contacts:read",
    summary="Notes about a contact, newest first",
    answers=ContactNote,
    listing=True,
    paths=[CONTACT],
    problems=[404],
)
async def list_contact_notes(ask: Ask[None]) -> Answer:
    """For colleagues: they are sent to nobody."""
    page = await store.list_notes(
        ask.services.database,
        ask.tenant_id,
        ask.path["contact_id"],
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)


@contact_details.operation(
    "POST",
    "/contacts/{contact_id}/notes",
    permission="contacts:write",
    summary="Leave a note about a contact",
    body=NewContactNote,
    answers=ContactNote,
    status=201,
    paths=[CONTACT],
    problems=[404, 409],
)
async def add_contact_note(ask: Ask[NewContactNote]) -> Answer:
    """It stays when conversations end."""
    body = await store.add_note(
        ask.services.database,
        ask.tenant_id,
        ask.path["contact_id"],
        ask.body.text,
        author=ask.actor.id,
        request_id=ask.request_id,
    )
    return Answer(201, body)


@contact_details.operation(
    "POST",
    "/contacts/merge",
    permission="contacts:write",
    summary="Make two contacts one",
    body=MergeContacts,
    answers=Merged,
    problems=[404, 409],
)
async def merge_contacts(ask: Ask[MergeContacts]) -> Answer:
    """Addresses, conversations, notes and consents of `gone` move to `kept`; it can be undone. Nothing is merged by
    itself. 409 `verified_differ` when both have proven different addresses of one kind: usually two people."""
    merge_id, body = await contact_merges.merge(
        ask.services.database,
        ask.tenant_id,
        ask.body.kept,
        ask.body.gone,
        even_if_verified=ask.body.even_if_verified,
        actor=ask.actor.id,
        request_id=ask.request_id,
    )
    return Answer(200, b'{"merge_id":"%s","contact":%s}' % (merge_id.encode(), body))


@contact_details.operation(
    "GET",
    "/contacts/{contact_id}/merges",
    permission="contacts:read",
    summary="What was merged into a contact",
    answers=list[ContactMerge],
    paths=[CONTACT],
    problems=[404],
)
async def list_contact_merges(ask: Ask[None]) -> Answer:
    """Newest first, with those that were undone."""
    body = await contact_merges.merges_of(ask.services.database, ask.tenant_id, ask.path["contact_id"])
    return Answer(200, body)


@contact_details.operation(
    "POST",
    "/contacts/merges/{merge_id}/undo",
    permission="contacts:write",
    summary="Make two contacts of one again",
    answers=Contact,
    paths=[MERGE],
    problems=[404, 409],
)
async def undo_contact_merge(ask: Ask[None]) -> Answer:
    """What moved goes back, if it is still there; what began since stays. Answers the contact that comes back."""
    body = await contact_merges.undo(
        ask.services.database,
        ask.tenant_id,
        ask.path["merge_id"],
        actor=ask.actor.id,
        request_id=ask.request_id,
    )
    return Answer(200, body)


@contact_details.operation(
    "POST",
    "/contacts/import",
    permission="contacts:write",
    summary="Contacts from a table",
    body=ContactTable,
    answers=Imported,
)
async def import_contacts(ask: Ask[ContactTable]) -> Answer:
    """Comma, semicolon or tab between cells. Rows that cannot be taken come back with the reason, to be mended."""
    if not ask.body.csv.strip():
        raise bad_value("/csv", "there is nothing in it")
    found = await contact_import.import_contacts(
        ask.services.database,
        ask.tenant_id,
        ask.body.csv,
        region=ask.body.region,
        update=ask.body.update,
        actor=ask.actor.id,
        request_id=ask.request_id,
    )
    return json_answer(found)
