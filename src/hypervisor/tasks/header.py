"""The YAML between the two `---` lines, read strictly and with every key's place.

python-frontmatter reads a file with a `TaskHandler`. It differs from the handler it extends in what
it refuses (a delimiter that is not a line of its own, a key that stands twice, a header that is no
mapping), and in that it knows where in the file everything stands.
"""

from __future__ import annotations

import re
from collections.abc import Set
from functools import lru_cache

import yaml
from frontmatter.default_handlers import YAMLHandler
from yaml.constructor import SafeConstructor
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from hypervisor.tasks.delimiters import after_delimiter, find_delimiter
from hypervisor.tasks.entries import Entries, Entry
from hypervisor.tasks.header_faults import HeaderError, explained, place

try:
    from yaml import CSafeLoader as Base
except ImportError:
    from yaml import SafeLoader as Base  # type: ignore[assignment]

STR = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"
_MAP, _SEQ = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"
_COLLECTIONS = frozenset({_MAP, _SEQ})
_DEEPEST = 50
# A header is a page of text. What is more is a mistake, or meant to be slow.
_LARGEST = 1 << 20
_MOST_VALUES = 20_000
_LONGEST_SCALAR = 200
_DOCUMENT_END = re.compile(r"^\.\.\.(?=\s|\Z)", re.MULTILINE)


@lru_cache(maxsize=4096)
def plain_tag(value: str) -> str:
    """Return the tag YAML gives an unquoted scalar."""
    if not value:
        return _NULL
    if len(value) > _LONGEST_SCALAR:
        # No number or date is so long, and to make one of it can take for ever.
        return STR
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers.get(value[0], ())
    for tag, pattern in resolvers:
        if pattern.match(value):
            return str(tag)
    return STR


class Loader(Base):
    """The safe loader with the parts of the resolver that a header needs, which is most speed."""

    def resolve(self, kind: type[Node], value: str, implicit: tuple[bool, bool]) -> str:
        if kind is ScalarNode:
            return plain_tag(value) if implicit[0] else STR
        return _MAP if kind is MappingNode else _SEQ

    def descend_resolver(self, current_node: object, current_index: object) -> None:
        pass

    def ascend_resolver(self) -> None:
        pass


class Header:
    """A header that was read: values, the node of each value and the place of each key."""

    __slots__ = ("meta", "nodes", "places", "root", "text")

    def __init__(self, text: str = "") -> None:
        self.text = text
        self.meta: dict[str, object] = {}
        self.nodes: dict[str, Node] = {}
        self.places: dict[str, int] = {}
        self.root: MappingNode | None = None

    @property
    def keys(self) -> Set[str]:
        """The top-level keys."""
        return self.meta.keys()

    def value(self, key: str) -> object:
        return self.meta.get(key)

    def holds(self, key: str) -> bool:
        return self.meta.get(key) is not None

    def raw_text(self, key: str) -> str | None:
        """Return a scalar as it is written; see `Document.raw_text`."""
        node = self.nodes.get(key)
        if node.__class__ is not ScalarNode or node is None or node.tag == _NULL:
            return None
        return str(node.value)

    def raw_list(self, key: str) -> list[str] | None:
        """Return a list's entries as they are written; see `Document.raw_list`."""
        node = self.nodes.get(key)
        if node.__class__ is not SequenceNode or node is None:
            return None
        entries = []
        for item in node.value:
            word = _entry(item)
            if word is not None:
                entries.append(word)
        return entries

    def entries(self) -> Entries:
        """Return where the keys stand. Raises ValueError where they can't be told apart by that."""
        if self.root is None:
            return Entries([], False, 0)
        found = []
        last = -1
        for key, value in self.root.value:
            key_start = place(key.start_mark)
            if key_start <= last:
                raise ValueError("an alias is where a key belongs")
            last = key_start
            found.append(self._entry_of(key.value, value, key_start, place(key.end_mark)))
        column = self.root.start_mark.column
        return Entries(found, bool(self.root.flow_style), column)

    def _entry_of(self, key: str, value: Node, key_start: int, key_end: int) -> Entry:
        start = place(value.start_mark)
        if start < key_end:
            # The node of an alias is that of its anchor.
            alias = _ALIAS.match(self.text, key_end)
            span = alias.span(1) if alias else (_NOWHERE, _NOWHERE)
            return Entry(key, "alias", None, False, key_start, *span)
        end = _end(self.text, value, start)
        if isinstance(value, ScalarNode):
            return Entry(key, "scalar", value.style or None, False, key_start, start, end)
        kind = "mapping" if isinstance(value, MappingNode) else "list"
        flow = isinstance(value, CollectionNode) and bool(value.flow_style)
        return Entry(key, kind, None, flow, key_start, start, end)


_ALIAS = re.compile(r"[ \t]*:[ \t]+(\*[^\s,\[\]{}]+)")
_NOWHERE = -1


def _end(text: str, node: Node, earliest: int) -> int:
    start, end = place(node.start_mark), place(node.end_mark)
    if start < earliest:
        return _NOWHERE
    if isinstance(node, ScalarNode):
        if node.style in ("|", ">"):
            # The parser takes the blank lines behind a block scalar for a part of it.
            return start + len(text[start:end].rstrip())
        return end
    if node.flow_style:  # type: ignore[attr-defined]
        return end
    last = node.value[-1]
    return _end(text, last[1] if isinstance(node, MappingNode) else last, start)


def _entry(node: Node) -> str | None:
    for _ in range(3):
        if isinstance(node, ScalarNode):
            return None if node.tag == _NULL else str(node.value)
        if not isinstance(node, SequenceNode) or len(node.value) != 1:
            break
        node = node.value[0]
    return None


def constructed(text: str) -> object:
    """Return the value of an unquoted scalar that is no null."""
    return _scalar(ScalarNode(plain_tag(text), text))


class TaskHandler(YAMLHandler):
    """python-frontmatter's YAML handler, strict, for the front matter that starts at `start` of one
    text.

    The library evens out blanks and line ends before it asks; edits are made in the text as it is.
    So that is what is split here. Afterwards `text[opened:closed]` is the YAML and `text[body:]`
    what follows the closing line; all are `start` where there is no front matter.
    """

    def __init__(self, text: str, start: int = 0) -> None:
        super().__init__()
        self._text = text
        self.opened = self.closed = self.body = start
        self.header: Header | None = None

    def split(self, text: str) -> tuple[str, str]:
        """Return header and body; ValueError if one of the two delimiter lines is missing."""
        start = after_delimiter(self._text, self.opened)
        end = -1 if start < 0 else find_delimiter(self._text, start)
        if end < 0:
            raise ValueError("no front matter")
        self.opened, self.closed, self.body = start, end, after_delimiter(self._text, end)
        return self._text[self.opened : self.closed], self._text[self.body :]

    def load(self, fm: str, **kwargs: object) -> dict[str, object]:
        """Return the values of a header; HeaderError if it can't be read without doubt."""
        self.header = load(fm)
        return self.header.meta


def load(text: str) -> Header:
    """Read the text of a header. Raises HeaderError."""
    node = compose(text)
    header = Header(text)
    if node is None:
        return header
    if not isinstance(node, MappingNode):
        kind = "a list" if isinstance(node, SequenceNode) else "text"
        raise HeaderError(
            node.start_mark.index,
            f"the front matter is {kind}, not keys with values",
            "write it as `key: value` lines, or put a blank line above the first `---`",
        )
    header.root = node
    _Values(text, "*" in text and "&" in text).fill(node, header)
    return header


def compose(text: str) -> Node | None:
    """Return the tree of a header's YAML, None for an empty one. Raises HeaderError."""
    _check_size(text)
    ending = _DOCUMENT_END.search(text) if "..." in text else None
    if ending:
        raise HeaderError(
            ending.start(), "`...` ends the YAML inside the front matter", "remove this line"
        )
    try:
        loader = Loader(text)
        try:
            node: Node | None = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise explained(error, text) from None
    return node


def _check_size(text: str) -> None:
    # The composer recurses in C without a limit, so deep nesting would end the process, and makes
    # an object of each value. Only many of the few characters that nest, or a header of an unusual
    # size, can do harm.
    openers = text.count("[") + text.count("{") + text.count("-") + text.count("?")
    if openers < 1000 and len(text) < 50_000:
        return
    if len(text) > _LARGEST:
        raise HeaderError(0, "the front matter is larger than 1 MiB", "move text to the body")
    depth = values = 0
    try:
        for event in yaml.parse(text, Loader=Loader):
            if isinstance(event, yaml.events.CollectionStartEvent):
                depth += 1
                if depth > _DEEPEST:
                    raise _too_deep(place(event.start_mark))
            elif isinstance(event, yaml.events.CollectionEndEvent):
                depth -= 1
                continue
            values += 1
            if values > _MOST_VALUES:
                raise _too_many(place(event.start_mark))
    except yaml.YAMLError as error:
        raise explained(error, text) from None


_constructor = SafeConstructor()
_BUSY = object()
_SCALARS = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "timestamp", "binary")
)


class _Shared:
    """What an anchor holds: its value, and how many values and levels it stands for."""

    __slots__ = ("height", "size", "value")

    def __init__(self, value: object, size: int, height: int) -> None:
        self.value = value
        self.size = size
        self.height = height


class _Values:
    """Makes values of nodes, and counts them as often as aliases repeat them: who reads the values
    would meet each again."""

    def __init__(self, text: str, has_aliases: bool) -> None:
        self._text = text
        self._shared: dict[int, object] | None = {} if has_aliases else None
        self._merging: set[int] = set()
        self._count = 0

    def fill(self, node: MappingNode, header: Header, depth: int = 1) -> int:
        """Put the keys of a mapping into `header`, then those that it merges.

        Returns how many levels its values hold. Raises HeaderError.
        """
        self._add(len(node.value), node)
        meta, nodes, places = header.meta, header.nodes, header.places
        merges: list[Node] = []
        height = 0
        for key_node, value_node in node.value:
            if key_node.__class__ is not ScalarNode:
                raise _odd_key(key_node)
            if key_node.tag == _MERGE:
                merges.append(value_node)
                continue
            key = key_node.value
            if key in meta:
                raise _twice(key, places[key], key_node, self._text)
            places[key] = key_node.start_mark.index
            nodes[key] = value_node
            if value_node.tag == STR and value_node.__class__ is ScalarNode:
                meta[key] = value_node.value
            else:
                meta[key], below = self._value(value_node, depth)
                height = max(height, below)
        if merges:
            height = max(height, self._merge(node, merges, header, depth))
        return height

    def _merge(self, node: MappingNode, merges: list[Node], header: Header, depth: int) -> int:
        if id(node) in self._merging:
            raise HeaderError(
                node.start_mark.index, "`<<` merges a mapping into itself", "remove the `<<` line"
            )
        if depth > _DEEPEST:
            raise _too_deep(node.start_mark.index)
        self._merging.add(id(node))
        height = 0
        for source in merges:
            for mapping in source.value if isinstance(source, SequenceNode) else [source]:
                if not isinstance(mapping, MappingNode):
                    raise HeaderError(source.start_mark.index, "`<<` takes a mapping")
                merged = Header()
                height = max(height, self.fill(mapping, merged, depth + 1))
                for key, value in merged.meta.items():
                    header.meta.setdefault(key, value)
                    header.nodes.setdefault(key, merged.nodes[key])
                    header.places.setdefault(key, merged.places[key])
        self._merging.discard(id(node))
        return height

    def _value(self, node: Node, depth: int) -> tuple[object, int]:
        """Return the value of a node `depth` levels below the header, and how many it holds."""
        if isinstance(node, ScalarNode):
            self._add(1, node)
            return _scalar(node), 0
        if node.tag not in _COLLECTIONS:
            raise _unknown_tag(node)
        if depth > _DEEPEST:
            raise _too_deep(node.start_mark.index)
        shared = self._shared
        if shared is not None:
            known = shared.get(id(node))
            if known is _BUSY:
                raise HeaderError(
                    node.start_mark.index, "an alias holds itself", "remove the alias"
                )
            if isinstance(known, _Shared):
                if depth + known.height > _DEEPEST:
                    raise _too_deep(node.start_mark.index)
                self._add(known.size, node)
                return known.value, known.height
            shared[id(node)] = _BUSY
        before = self._count
        self._add(1, node)
        height = 0
        value: object
        if isinstance(node, SequenceNode):
            items: list[object] = []
            for child in node.value:
                item, below = self._value(child, depth + 1)
                items.append(item)
                height = max(height, below)
            value = items
        else:
            inner = Header()
            assert isinstance(node, MappingNode)
            height = self.fill(node, inner, depth + 1)
            value = inner.meta
        if shared is not None:
            shared[id(node)] = _Shared(value, self._count - before, height + 1)
        return value, height + 1

    def _add(self, count: int, node: Node) -> None:
        self._count += count
        if self._count > _MOST_VALUES:
            raise _too_many(node.start_mark.index)


def _scalar(node: ScalarNode) -> object:
    if node.tag == STR:
        return node.value
    if node.tag == _NULL:
        return None
    if node.tag not in _SCALARS:
        raise _unknown_tag(node)
    if len(node.value) > _LONGEST_SCALAR:
        return node.value
    try:
        return SafeConstructor.yaml_constructors[node.tag](_constructor, node)
    except (ValueError, OverflowError, TypeError, KeyError, AttributeError, yaml.YAMLError):
        # It looks like a date or a number and is none, as 2026-02-31: it stays text.
        return node.value


def _unknown_tag(node: Node) -> HeaderError:
    return HeaderError(
        node.start_mark.index, f"unknown YAML tag {node.tag}", "remove the tag or quote the value"
    )


def _too_deep(index: int) -> HeaderError:
    return HeaderError(index, "the YAML is nested too deep")


def _too_many(index: int) -> HeaderError:
    return HeaderError(
        index,
        f"the front matter holds more than {_MOST_VALUES:,} values, aliases unfolded",
        "move lists to files of their own",
    )


def _odd_key(node: Node) -> HeaderError:
    return HeaderError(node.start_mark.index, "a list or a mapping is where a key belongs")


def _twice(key: str, first: int, second: Node, text: str) -> HeaderError:
    # The header starts in line 2 of the file, after the opening delimiter.
    lines = [text.count("\n", 0, index) + 2 for index in (first, second.start_mark.index)]
    return HeaderError(
        second.start_mark.index,
        f"the key '{key}' appears twice, in lines {lines[0]} and {lines[1]}",
        "keep one of the two lines",
    )
