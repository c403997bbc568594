"""One top-level key of a front matter written, added or taken out, and no other byte."""

from __future__ import annotations

from hypervisor.system.errors import BrokenFile, HypervisorError
from hypervisor.system.late import late
from hypervisor.system.records import NamedTuple
from hypervisor.system.text import one_line
from hypervisor.tasks import markdown
from hypervisor.tasks.plain import WORDS
from hypervisor.tasks.read import Document, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PLAIN = late(r"[^\W\d_](?:[\w .'/@+&()-]*[\w.'/@+&()-])?")
# Printable in every style of YAML; the rest is only told as an escape between double quotes.
_ONE_LINE = late(
    "[\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*"
)
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


class Stamp(str):
    """A date, or a time: written without quotes, as tools that read one as that do it."""

    __slots__ = ()


def written(value: str, style: str | None = None) -> str:
    """Return `value` as YAML, for block and flow context alike.

    `style` is the quote character to use, if the value can be written so; None asks for no quotes
    where none are needed.
    """
    if isinstance(value, Stamp) and style is None:
        return str(value)
    if value.isascii() and value.isalnum() and style is None and not value[0].isdigit():
        return value if value.lower() not in WORDS else f"'{value}'"
    if not _ONE_LINE.fullmatch(value):
        style = '"'
    if style is None:
        if _PLAIN.fullmatch(value) and value.lower() not in WORDS:
            return value
        style = "'"
    if style == "'":
        return "'" + value.replace("'", "''") + "'"
    return '"' + "".join(_ESCAPES.get(char) or _escaped(char) for char in value) + '"'


def _escaped(char: str) -> str:
    if _ONE_LINE.fullmatch(char):
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


_OUR_MARK = late(r"<!--(?=[ \t]*/?hypervisor:)")


class EditRefused(HypervisorError):
    """The edit can't be made without touching something else; nothing was written."""

    def __init__(self, path: str, why: str, fix: str = "edit the file by hand") -> None:
        super().__init__(f"{path}: not edited: {why}", fix)
        self.path = path
        self.why = why


def reparsed(document: Document, start: int, end: int, new: str) -> Document:
    """Return the document with `new` for its text from `start` to `end`. Raises EditRefused."""
    text = document.text[:start] + new + document.text[end:]
    try:
        return parse(text.encode("utf-8"), document.path, document.identity, document)
    except (BrokenFile, UnicodeEncodeError) as error:
        why = error.what if isinstance(error, BrokenFile) else "it is not text"
        raise EditRefused(document.path, f"the file would be broken by it: {why}") from None


def check_header(
    before: Document, after: Document, key: str, value: str | int | list[str], end: int, grown: int
) -> None:
    """Refuse unless `key` reads as `value`, and every other key as it was, at the same text.

    `end` is where the text behind the edit starts, `grown` by how much it moved.
    """
    now = after.raw_text(key) if isinstance(value, Stamp) else after.value(key)
    if key not in after.keys or now != value:
        raise EditRefused(before.path, f"{key} would not read back as {shown(value)}")
    check_rest(before, after, key, end, grown)


def check_rest(before: Document, after: Document, key: str, end: int, grown: int) -> None:
    """Refuse unless every key but `key` reads as it did, at the same text; see `check_header`."""
    path = before.path
    try:
        old = [entry.moved(grown, end) for entry in before.entries().entries if entry.key != key]
        new = [entry for entry in after.entries().entries if entry.key != key]
    except ValueError as error:
        raise EditRefused(path, str(error)) from None
    if old != new:
        raise EditRefused(path, "another key would change")
    if name := after.differs_from(before, key):
        raise EditRefused(path, f"the value of {name} would change")


def check_body(before: Document, after: Document) -> None:
    """Refuse unless header, headings and boxes outside our sections are as they were."""
    head = before.text[: before.body_start]
    if not after.text.startswith(head) or after.header_end != before.header_end:
        raise EditRefused(before.path, "the front matter would change")
    if _outline(before.body) != _outline(after.body):
        raise EditRefused(before.path, "the structure of its text would change")


def _outline(body: str) -> list[tuple[object, ...]]:
    body = markdown.without_own_section(body)
    structure = markdown.scan(body)
    return [
        *((one.level, one.title) for one in structure.headings),
        *((one.checked, one.text) for one in structure.boxes),
    ]


def harmless(text: str) -> str:
    """Return text that can neither end our section nor make the file unreadable."""
    plain = text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    return _OUR_MARK.sub("&lt;!--", plain) if "<!--" in plain else plain


def shown(value: str | int | Sequence[str]) -> str:
    """Return a value as one short line for a message."""
    return one_line(value if isinstance(value, (str, int)) else ", ".join(value), 80)


_NOTHING_MORE = late(r"[ \t]*(?:#[^\n]*)?\r?\n?")


class RemoveKey(NamedTuple):
    """Take a top-level key out, with its value and the comment behind it."""

    key: str


def remove_key(document: Document, change: RemoveKey) -> Document:
    """Return the document without the key. Raises EditRefused."""
    key, path = change.key, document.path
    if key not in document.keys:
        return document
    try:
        entries = document.entries()
    except ValueError as error:
        raise EditRefused(path, str(error)) from None
    entry = entries.get(key)
    if entry is None or entries.flow or entry.end < 0:
        raise EditRefused(path, f"where {key} stands is not clear")
    text = document.text
    start = text.rfind("\n", 0, entry.key_start) + 1
    behind = _NOTHING_MORE.match(text, max(entry.end, entry.key_start))
    if text[start : entry.key_start].strip(" \ufeff") or behind is None:
        raise EditRefused(path, f"{key} shares its line")
    end = min(behind.end(), document.header_end)
    if text[end - 1] != "\n":
        raise EditRefused(path, f"{key} shares its line")
    after = reparsed(document, start, end, "")
    if len(document.keys) > 1 and (not after.keys or key in after.keys):
        raise EditRefused(path, f"{key} would not be gone")
    check_rest(document, after, key, end, start - end)
    return after
