"""The YAML between the two `---` lines, read strictly and with every key's place.

`TaskHandler` is a handler for python-frontmatter: `frontmatter.load(path, handler=TaskHandler())`
works with it. It differs from the handler it extends in what it refuses: a delimiter that is not a
line of its own, a key that stands twice, a header that is no mapping.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, cast

import yaml
from frontmatter.default_handlers import YAMLHandler
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from hypervisor.tasks.blame import HeaderError, explained, place

try:
    from yaml import CSafeLoader as Base
except ImportError:
    from yaml import SafeLoader as Base  # type: ignore[assignment]

OPENING = re.compile(r"---[ \t]*\r?(?:\n|\Z)")
CLOSING = re.compile(r"^---[ \t]*\r?(?:\n|\Z)", re.MULTILINE)

STR = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"
_DEEPEST = 50
_DOCUMENT_END = re.compile(r"^\.\.\.(?=\s|\Z)", re.MULTILINE)


@lru_cache(maxsize=4096)
def plain_tag(value: str) -> str:
    """Return the tag YAML gives an unquoted scalar."""
    if not value:
        return _NULL
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers.get(value[0], ())
    for tag, pattern in resolvers:
        if pattern.match(value):
            return str(tag)
    return STR


class Loader(Base):
    """The safe loader with the parts of the resolver that a header needs, which is most speed."""

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        if kind is ScalarNode:
            return plain_tag(value) if implicit[0] else STR
        return "tag:yaml.org,2002:map" if kind is MappingNode else "tag:yaml.org,2002:seq"

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        pass

    def ascend_resolver(self) -> None:
        pass


class Header:
    """A header that was read: values, the node of each value and the place of each key."""

    __slots__ = ("meta", "nodes", "places", "root")

    def __init__(self) -> None:
        self.meta: dict[str, object] = {}
        self.nodes: dict[str, Node] = {}
        self.places: dict[str, int] = {}
        self.root: MappingNode | None = None


class TaskHandler(YAMLHandler):
    """python-frontmatter's YAML handler, strict."""

    def detect(self, text: str) -> bool:
        """Say whether `text` starts with a delimiter line."""
        return OPENING.match(text) is not None

    def split(self, text: str) -> tuple[str, str]:
        """Return header and body; ValueError if one of the two delimiter lines is missing."""
        opening = OPENING.match(text)
        closing = CLOSING.search(text, opening.end()) if opening else None
        if opening is None or closing is None:
            raise ValueError("no front matter")
        return text[opening.end() : closing.start()], text[closing.end() :]

    def load(self, fm: str, **kwargs: object) -> dict[str, object]:
        """Return the values of a header; HeaderError if it can't be read without doubt."""
        return load(fm).meta


def load(text: str) -> Header:
    """Read the text of a header. Raises HeaderError."""
    node = compose(text)
    header = Header()
    if node is None:
        return header
    if not isinstance(node, MappingNode):
        kind = "a list" if isinstance(node, SequenceNode) else "text"
        raise HeaderError(
            node.start_mark.index,
            f"the front matter is {kind}, not keys with values",
            "write it as `key: value` lines, or put a blank line above the first `---`",
        )
    memo: dict[int, object] | None = {} if "*" in text and "&" in text else None
    header.root = node
    _fill(node, header, memo, text)
    return header


def compose(text: str) -> Node | None:
    """Return the tree of a header's YAML, None for an empty one. Raises HeaderError."""
    _check_depth(text)
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


def _check_depth(text: str) -> None:
    # The composer recurses in C without a limit, so deep nesting would end the process. Only the
    # few characters that nest can do that in a header of a usual size.
    openers = text.count("[") + text.count("{") + text.count("-") + text.count("?")
    if openers < 1000 and len(text) < 50_000:
        return
    depth = 0
    try:
        for event in yaml.parse(text, Loader=Loader):
            if isinstance(event, yaml.events.CollectionStartEvent):
                depth += 1
                if depth > _DEEPEST:
                    raise HeaderError(place(event.start_mark), "the YAML is nested too deep")
            elif isinstance(event, yaml.events.CollectionEndEvent):
                depth -= 1
    except yaml.YAMLError as error:
        raise explained(error, text) from None


def _fill(node: MappingNode, header: Header, memo: dict[int, object] | None, text: str) -> None:
    meta, nodes, places = header.meta, header.nodes, header.places
    merges: list[Node] = []
    for key_node, value_node in node.value:
        if key_node.__class__ is not ScalarNode:
            raise _odd_key(key_node)
        if key_node.tag == _MERGE:
            merges.append(value_node)
            continue
        key = key_node.value
        if key in meta:
            raise _twice(key, places[key], key_node, text)
        places[key] = key_node.start_mark.index
        nodes[key] = value_node
        meta[key] = (
            value_node.value
            if value_node.tag == STR and value_node.__class__ is ScalarNode
            else _value(value_node, memo, text, 1)
        )
    for source in merges:
        for mapping in source.value if isinstance(source, SequenceNode) else [source]:
            merged = Header()
            if not isinstance(mapping, MappingNode):
                raise HeaderError(source.start_mark.index, "`<<` takes a mapping")
            _fill(mapping, merged, memo, text)
            for key, value in merged.meta.items():
                meta.setdefault(key, value)
                nodes.setdefault(key, merged.nodes[key])
                places.setdefault(key, merged.places[key])


_constructor = SafeConstructor()
_BUSY = object()


def _value(node: Node, memo: dict[int, object] | None, text: str, depth: int) -> object:
    if depth > _DEEPEST:
        raise HeaderError(node.start_mark.index, "the YAML is nested too deep")
    if isinstance(node, ScalarNode):
        return _scalar(node)
    if memo is not None:
        known = memo.get(id(node))
        if known is _BUSY:
            raise HeaderError(node.start_mark.index, "an alias holds itself", "remove the alias")
        if known is not None:
            return known
        memo[id(node)] = _BUSY
    value: object
    if isinstance(node, SequenceNode):
        value = [_value(item, memo, text, depth + 1) for item in node.value]
    else:
        inner = Header()
        if depth + 1 > _DEEPEST:
            raise HeaderError(node.start_mark.index, "the YAML is nested too deep")
        places: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                raise _odd_key(key_node)
            if key_node.tag == _MERGE:
                _fill(cast(MappingNode, node), inner, memo, text)
                break
            key = key_node.value
            if key in places:
                raise _twice(key, places[key], key_node, text)
            places[key] = key_node.start_mark.index
            inner.meta[key] = _value(value_node, memo, text, depth + 1)
        value = inner.meta
    if memo is not None:
        memo[id(node)] = value
    return value


def _scalar(node: ScalarNode) -> object:
    if node.tag == STR:
        return node.value
    if node.tag == _NULL:
        return None
    construct = SafeConstructor.yaml_constructors.get(node.tag)
    if construct is None:
        raise HeaderError(
            node.start_mark.index,
            f"unknown YAML tag {node.tag}",
            "remove the tag or quote the value",
        )
    try:
        return construct(_constructor, node)
    except (ValueError, OverflowError, TypeError, KeyError, AttributeError, yaml.YAMLError):
        # It looks like a date or a number and is none, as 2026-02-31: it stays text.
        return node.value


def _odd_key(node: Node) -> HeaderError:
    return HeaderError(node.start_mark.index, "a list or a mapping stands where a key belongs")


def _twice(key: str, first: int, second: Node, text: str) -> HeaderError:
    # The header starts in line 2 of the file, after the opening delimiter.
    lines = [text.count("\n", 0, index) + 2 for index in (first, second.start_mark.index)]
    return HeaderError(
        second.start_mark.index,
        f"the key '{key}' stands twice, in lines {lines[0]} and {lines[1]}",
        "keep one of the two lines",
    )
