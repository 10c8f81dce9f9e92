"""HTML of strangers, made fit to be shown: cleaned by nh3 (Ammonia), read as words by lxml.

nh3 decides what may be shown; it is a list of what is allowed, on a browser's own parser. Before it lxml (libxml2)
reads and writes the document once, because html5ever's tree takes quadratic time for deep nesting (measured: 100,000
``<div>`` are 500 KB and two minutes) and libxml2 stops at a depth of 256.
"""

import html
import re
from collections.abc import Iterator

import nh3
from lxml import etree
from lxml import html as lxml_html

from irisx_channels.email.mail import MAX_HTML, MAX_TEXT

REMOTE = "remote:"
"""Before the address of a picture that is not in the mail: no browser loads that, so that reading a mail tells nobody.
A page that a person has asked for the pictures takes it away again."""
_SCHEMES = {"http", "https", "mailto", "tel", "cid"}
_TAGS = {
    "a", "abbr", "address", "b", "bdi", "bdo", "big", "blockquote", "br", "caption", "center", "cite", "code", "col",
    "colgroup", "dd", "del", "details", "dfn", "div", "dl", "dt", "em", "figcaption", "figure", "font", "h1", "h2",
    "h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "kbd", "li", "mark", "ol", "p", "pre", "q", "s", "samp", "small",
    "span", "strike", "strong", "sub", "summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "time", "tr",
    "tt", "u", "ul", "var", "wbr",
}  # fmt: skip
_ATTRIBUTES = {
    "*": {"style", "align", "dir", "lang", "title"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "font": {"color", "size", "face"},
    "td": {"colspan", "rowspan", "width", "height", "valign", "bgcolor"},
    "th": {"colspan", "rowspan", "width", "height", "valign", "bgcolor"},
    "table": {"width", "border", "cellpadding", "cellspacing", "bgcolor"},
    "ol": {"start", "type"},
    "col": {"width", "span"},
    "colgroup": {"width", "span"},
}
# Nothing that places, covers or loads: a mail must not draw over the page around it.
_STYLES = {
    "background-color", "border", "border-bottom", "border-collapse", "border-color", "border-left", "border-right",
    "border-spacing", "border-style", "border-top", "border-width", "color", "direction", "font-family", "font-size",
    "font-style", "font-weight", "line-height", "list-style-type", "margin-left", "padding", "padding-bottom",
    "padding-left", "padding-right", "padding-top", "text-align", "text-decoration", "text-indent", "vertical-align",
    "white-space", "width", "max-width",
}  # fmt: skip
_SILENT = frozenset({"script", "style", "head", "title", "template", "noscript", "object", "svg", "math"})
_BLOCKS = frozenset(
    {
        "address", "blockquote", "center", "dd", "div", "dl", "dt", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
        "li", "ol", "p", "pre", "table", "tr", "ul", "caption", "form", "fieldset", "section", "article", "header",
        "footer", "body",
    }
)  # fmt: skip
_SPACE = re.compile(r"[ \t\r\n\f\u00a0]+")
_ANY_TAG = re.compile(r"<[^<>]*>")
_GAPS = re.compile(r"\n{3,}")


def clean(dirty: str) -> str:
    """What of ``dirty`` may be shown; empty when it is too long (`MAX_HTML`), so that the words are shown instead."""
    if len(dirty) > MAX_HTML or not dirty.strip():
        return ""
    tree = _tree(dirty)
    if tree is None:
        return ""
    flat = lxml_html.tostring(tree, encoding="unicode")
    if len(flat) > 2 * MAX_HTML:
        return ""
    return nh3.clean(
        flat,
        tags=_TAGS,
        clean_content_tags={"script", "style", "title", "template", "noscript", "svg", "math"},
        attributes=_ATTRIBUTES,
        attribute_filter=_filtered,
        url_schemes=_SCHEMES,
        filter_style_properties=_STYLES,
        link_rel="noopener noreferrer nofollow",
        strip_comments=True,
    ).strip()


def _filtered(tag: str, attribute: str, value: str) -> str | None:
    if tag == "img" and attribute == "src":
        return value if value.lower().startswith("cid:") else REMOTE + value
    if attribute == "style" and ("url(" in value.lower() or "\\" in value or "expression" in value.lower()):
        return None
    return value


def words(dirty: str) -> str:
    """The words of an HTML document, a block a line: for mails that have nothing else, and for searching."""
    tree = _tree(dirty[: 4 * MAX_HTML])
    if tree is None:
        return ""
    said = "".join(_pieces(tree))
    if not said.strip():
        said = html.unescape(_ANY_TAG.sub(" ", dirty[: 4 * MAX_HTML]))
    lines = [line.strip() for line in said.split("\n")]
    return _GAPS.sub("\n\n", "\n".join(lines)).strip()[:MAX_TEXT]


def as_html(text: str) -> str:
    """Words as HTML, for those who can show nothing else."""
    return html.escape(text, quote=False).replace("\n", "<br>\n")


def _tree(dirty: str) -> etree._Element | None:
    text = dirty.replace("\0", "")
    try:
        # (a declaration of an encoding inside a text is refused by lxml; the text is Unicode already)
        parser = lxml_html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
        tree = lxml_html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError, AssertionError):
        return None
    return tree


def _pieces(tree: etree._Element) -> Iterator[str]:
    """Texts and line breaks in order, without recursion."""
    muted = 0
    pre = 0
    for event, node in etree.iterwalk(tree, events=("start", "end")):
        tag = node.tag if isinstance(node.tag, str) else ""
        if event == "start":
            if tag in _SILENT:
                muted += 1
            if muted:
                continue
            pre += tag == "pre"
            if tag == "br" or tag in _BLOCKS:
                yield "\n"
            elif tag in ("td", "th"):
                yield " "
            elif tag == "img" and (shown := node.get("alt")):
                yield f"[{_SPACE.sub(' ', str(shown))}]"
            if node.text:
                yield node.text if pre else _SPACE.sub(" ", node.text)
            continue
        if tag in _SILENT:
            muted -= 1
        elif not muted:
            pre -= tag == "pre"
            if tag in _BLOCKS and tag not in ("hr",):
                yield "\n" if tag != "p" else "\n\n"
        if not muted and node.tail:
            yield node.tail if pre else _SPACE.sub(" ", node.tail)
