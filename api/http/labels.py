"""Labels and views: words that conversations carry, and lists that people look at often."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from api.http.ask import Ask
from api.http.content import Kept, Line
from api.http.conversations import LIST_QUERY, Label
from api.http.operation import Group
from api.http.patterns import whole
from api.http.problem import Invalid, bad_value
from api.http.shapes import Body, Name
from api.http.shelf import Shelf
from core.model import content as documents

labels = Group("conversations")

Color = Annotated[str, Meta(pattern=whole(r"(#[0-9a-fA-F]{6})?"))]
FilterText = Annotated[str, Meta(max_length=2000, pattern=whole(r"[^\x00-\x1f\x7f]*"))]


class LabelInfo(Kept):
    color: str
    description: str


class NewLabel(Body):
    name: Label
    """The word that conversations carry. It stays: whoever wants another word makes another label."""
    color: Color = ""
    description: Line = ""


class LabelChange(Body):
    color: Color | UnsetType = UNSET
    description: Line | UnsetType = UNSET


class ViewInfo(Kept):
    filter: str
    shared: bool


class NewView(Body):
    name: Name
    filter: FilterText
    """As in the address of the list: `state[eq]=open&assignee[eq]=usr_…`."""
    shared: bool = True
    """For everybody; else for who made it."""


class ViewChange(Body):
    name: Name | UnsetType = UNSET
    filter: FilterText | UnsetType = UNSET
    shared: bool | UnsetType = UNSET


async def _check_view(ask: Ask[Any], doc: documents.View) -> None:
    try:
        LIST_QUERY.read(doc.filter.encode())
    except Invalid as exc:
        raise bad_value("/filter", exc.detail) from exc


label_shelf = Shelf(
    labels,
    kind="label",
    path="/labels",
    noun="label",
    nouns="labels",
    doc=documents.Label,
    new=NewLabel,
    change=LabelChange,
    info=LabelInfo,
    read="conversations:read",
    write="conversations:write",
    about="The words that conversations are meant to carry, with their colours. Deleting one leaves it where it stands.",
)
view_shelf = Shelf(
    labels,
    kind="view",
    path="/views",
    noun="view",
    nouns="views",
    doc=documents.View,
    new=NewView,
    change=ViewChange,
    info=ViewInfo,
    read="conversations:read",
    write="conversations:write",
    about="Saved filters of the list of conversations: everybody's, and one's own.",
    scope=lambda doc, actor: "" if doc.shared else actor,
    scopes=lambda actor: ["", actor],
    check=_check_view,
)
