"""One Markdown file, read whole: its front matter, its body, and what an edit must know of it."""

from __future__ import annotations

from hypervisor.system.errors import BrokenFile
from hypervisor.system.files import joined
from hypervisor.system.late import late
from hypervisor.system.reading import MIB, NotReadable, read_file
from hypervisor.system.records import NamedTuple
from hypervisor.system.text import one_line
from hypervisor.tasks import plain
from hypervisor.tasks.delimiters import after_delimiter, find_delimiter

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Set

    from hypervisor.tasks.entries import Entries
    from hypervisor.tasks.header import Header
    from hypervisor.tasks.plain import PlainHeader

# Far more than anybody writes by hand, and little enough that a folder of good files doesn't wait:
# the structure of a body is found line by line.
LARGEST = 8 * MIB
_MOST_LINES = 100_000
_BOM = "\ufeff"
_TASK_KEYS = frozenset(
    ("id", "task_id", "permalink", "alias", "title", "type", "status", "assignee", "parent",
     "parent_task_id", "depends_on", "dependencies", "tags", "labels", "priority", "project",
     "complexity", "created", "modified")
)  # fmt: skip
_KEY_LINE = late(r"[\"']?([\w.-][\w .-]*)[\"']?[ \t]*:(?:\s|\Z)")


class Identity(NamedTuple):
    """What tells a file from its later self without reading it."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    mode: int

    @property
    def fingerprint(self) -> str:
        """How the file looks, as a queue keeps it and `worker` compares it: any edit changes it."""
        return joined(self.size, self.mtime_ns, self.ctime_ns, self.inode, self.mode)


def identity_of(status: os.stat_result) -> Identity:
    """Return the identity in a `stat` result."""
    return Identity(
        status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev,
        status.st_mode,
    )  # fmt: skip


NO_IDENTITY = Identity(-1, 0, 0, 0, 0, 0)


class Document:
    """A file as it was read.

    `meta` is None where the file has no front matter. Its values are constructed (dates, numbers,
    booleans); `raw_text` gives them as written. Offsets count characters of `text`, which is `raw`
    decoded, a byte order mark included: `text[header_start:header_end]` is the YAML,
    `text[body_start:]` the body with its line ends as they are.
    """

    __slots__ = (
        "_header", "body_start", "bom", "header_end", "header_start", "identity", "late", "newline",
        "path", "raw", "text",
    )  # fmt: skip

    def __init__(self, path: str, raw: bytes, text: str, identity: Identity) -> None:
        self.path = path
        self.raw = raw
        self.text = text
        self.identity = identity
        self.bom = text.startswith(_BOM)
        self.late = False
        self.header_start = self.header_end = self.body_start = int(self.bom)
        first = text.find("\n")
        self.newline = "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"
        self._header: Header | PlainHeader | None = None

    @property
    def meta(self) -> dict[str, object] | None:
        """The values of the front matter by key, None if there is none."""
        return None if self._header is None else self._header.meta

    @property
    def has_header(self) -> bool:
        """True if the file has front matter, if only an empty one."""
        return self._header is not None

    @property
    def keys(self) -> Set[str]:
        """The keys of the front matter."""
        return frozenset() if self._header is None else self._header.keys

    def holds(self, key: str) -> bool:
        """True if a top-level key has a value that is no null."""
        return self._header is not None and self._header.holds(key)

    def value(self, key: str) -> object:
        """Return the value of a top-level key, None if there is none."""
        return None if self._header is None else self._header.value(key)

    def entries(self) -> Entries:
        """Return where the top-level keys stand, as offsets of `text`.

        Raises ValueError for a header whose keys can't be told apart by their places.
        """
        assert self._header is not None
        found = self._header.entries()
        return found._replace(
            entries=[entry.moved(self.header_start, 0) for entry in found.entries]
        )

    def differs_from(self, other: Document, but: str) -> str | None:
        """Return a key of `other`, not `but`, whose value is another one here; None for none."""
        mine, theirs = self._header, other._header
        for key in other.keys:
            if key == but:
                continue
            if isinstance(mine, plain.PlainHeader) and isinstance(theirs, plain.PlainHeader):
                same = mine.words.get(key) == theirs.words[key]
            else:
                now, was = self.value(key), other.value(key)
                # repr: a float that is not a number equals nothing, not even itself.
                same = now == was or repr(now) == repr(was)
            if not same:
                return key
        return None

    @property
    def body(self) -> str:
        """What follows the closing delimiter line."""
        return self.text[self.body_start :]

    @property
    def key_lines(self) -> dict[str, int]:
        """The line of the file, from 1, in which each top-level key stands."""
        places = {} if self._header is None else self._header.places
        return {key: self.line_at(self.header_start + place) for key, place in places.items()}

    def line_at(self, offset: int) -> int:
        """Return the line of the file, from 1, at an offset of `text`."""
        return self.text.count("\n", 0, offset) + 1

    def raw_text(self, key: str) -> str | None:
        """Return a top-level scalar as it is written, quotes removed.

        None if the key is missing or null, or holds a list or a mapping: `id: 1.10` is "1.10" and
        `due: 2026-02-01` is "2026-02-01".
        """
        return None if self._header is None else self._header.raw_text(key)

    def raw_list(self, key: str) -> list[str] | None:
        """Return a top-level list's entries as they are written, None if it holds no list.

        Nulls are left out; a nested list of one entry is that entry, which makes an unquoted
        `[[wikilink]]` its text again; mappings are left out.
        """
        return None if self._header is None else self._header.raw_list(key)


def read(path: str) -> Document:
    """Read the file at `path`.

    Raises OSError where it can't be opened, and BrokenFile, with the line where one is to blame,
    for a file that must not be written because its text or its front matter is in doubt.
    """
    try:
        raw, status = read_file(path, LARGEST)
    except NotReadable as error:
        raise BrokenFile(path, None, error.what, error.fix) from None
    return parse(raw, path, identity_of(status))


def parse(
    raw: bytes, path: str, identity: Identity = NO_IDENTITY, earlier: Document | None = None
) -> Document:
    """Make a Document of a file's bytes. Raises BrokenFile; see `read`.

    `earlier` spares reading the YAML once more if it starts with the very same header.
    """
    if len(raw) > _MOST_LINES and raw.count(b"\n") + raw.count(b"\r") > _MOST_LINES:
        raise BrokenFile(
            path, _MOST_LINES + 1, f"more than {_MOST_LINES:,} lines", "leave it out of the source"
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BrokenFile(
            path,
            raw.count(b"\n", 0, error.start) + 1,
            f"not UTF-8: byte 0x{raw[error.start]:02X}",
            "convert the file to UTF-8",
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise BrokenFile(path, line, "holds a NUL byte", "remove it")
    if "<<<<<<< " in text:
        refuse_conflict(path, text)
    document = Document(path, raw, text, identity)
    start = document.body_start
    opened = after_delimiter(text, start)
    if opened < 0:
        place = _unseen(document)
        if place is None:
            return document
        # Other tools do not see it: that is told, and no reason to leave it.
        document.late = True
        start, opened = place, after_delimiter(text, place)
    closing = find_delimiter(text, opened)
    if closing < 0:
        raise BrokenFile(
            path,
            1,
            "the front matter is opened and never closed",
            "add a line `---` after its last key",
        )
    document.header_start, document.header_end = opened, closing
    document.body_start = after_delimiter(text, closing)
    if earlier is not None and _same_header(earlier, document):
        document._header = earlier._header
    else:
        document._header = plain.read(text[opened:closing]) or _with_yaml(document)
    second = _header_at(text, document.body_start, document.keys)
    if second is not None:
        raise BrokenFile(
            path,
            document.line_at(second),
            "a second front matter follows the first",
            "merge the two into one block",
        )
    return document


def refuse_conflict(path: str, text: str) -> None:
    """Raise BrokenFile if a merge left its markers in `text`."""
    from hypervisor.tasks.conflict import conflict_in

    conflict = conflict_in(text)
    if conflict is not None:
        raise BrokenFile(path, conflict, "a merge conflict begins here", "resolve it and commit")


def _with_yaml(document: Document) -> Header:
    # Takes longer to load than most commands take altogether.
    import frontmatter

    from hypervisor.tasks.header import TaskHandler
    from hypervisor.tasks.header_faults import HeaderError

    start = document.text.rindex("---", 0, document.header_start)
    handler = TaskHandler(document.text, start)
    try:
        frontmatter.parse(document.text, handler=handler)
    except HeaderError as error:
        line = document.line_at(document.header_start + error.index)
        what, fix = one_line(error.what), one_line(error.fix, 300)
        raise BrokenFile(document.path, line, what, fix) from None
    assert handler.header is not None, "both delimiter lines were found"
    return handler.header


def _same_header(one: Document, other: Document) -> bool:
    return (
        one._header is not None
        and one.body_start == other.body_start
        and one.text.startswith(other.text[: other.body_start])
    )


def _unseen(document: Document) -> int | None:
    """Return where front matter opens behind blank lines, where other tools see none; None where
    there is none. Raises BrokenFile for line ends that nobody reads."""
    text, start = document.text, document.body_start
    if text.startswith("---\r", start):
        raise BrokenFile(
            document.path, 1, "lines end in bare carriage returns", "convert the line ends"
        )
    return _header_at(text, start, frozenset())


def _header_at(text: str, start: int, known: Set[str]) -> int | None:
    """Return where a block like front matter opens after blank lines only, else None.

    Its lines need not be YAML: the second of two blocks is often there because the first was put
    before a header that nobody could read. A rule line in prose is no such block.
    """
    place = start
    while text[place : place + 1].isspace():
        place += 1
    opened = after_delimiter(text, place)
    if opened < 0 or (place > start and text[place - 1] != "\n"):
        return None
    closing = find_delimiter(text, opened)
    if closing < 0:
        return None
    keys = set()
    for line in text[opened:closing].splitlines():
        if not line.strip() or line[0] in " \t#-]}":
            continue
        found = _KEY_LINE.match(line)
        if found is None:
            return None
        keys.add(found[1])
    like_task = keys & _TASK_KEYS
    return place if len(like_task) > 1 or like_task & known else None
