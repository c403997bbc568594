"""What tasks wait for: dependencies, children that are open, circles, and ids that lead nowhere."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from hypervisor.intake.preflight import unknown
from hypervisor.intake.preflight.circles import dependencies_first, find_circle, shown_circle
from hypervisor.intake.preflight.names import Named, Names
from hypervisor.intake.preflight.rules import Verdict, unread
from hypervisor.intake.sources import Known
from hypervisor.system.text import one_line
from hypervisor.tasks.task import CONTAINERS

BEHIND = "waits_in_batch"
AMBIGUOUS = "ambiguous"
SAME_ID = "same_id"
_CLOSED = ("done", "cancelled")


@dataclass(slots=True, eq=False)
class Node:
    """A task of the batch: `verdict` is None while nothing speaks against working on it.

    `parent`, `depends_on`, `blocks` and `may_wait` (by key) call other tasks by any name of theirs;
    `relate` makes ids of these. `own` is what its file says for an id, where several say the same
    and so each goes by its path as well.
    """

    id: str
    status: str | None = None
    state: str = "ready"
    type: str | None = None
    parent: str | None = None
    depends_on: Sequence[str] = ()
    blocks: Sequence[str] = ()
    may_wait: Sequence[tuple[str, Sequence[str]]] = ()
    aliases: Sequence[str] = ()
    path: str | None = None
    verdict: Verdict | None = None
    after: tuple[str, ...] = ()
    warnings: Sequence[str] = ()
    # True where the tool that wrote it takes what is cancelled for as good as done.
    cancelled_will_do: bool = False
    # True where it has an item wait with its parent.
    waits_with_parent: bool = False
    own: str = ""

    @property
    def closed(self) -> bool:
        """Whether nobody will work on it any more."""
        return self.verdict is not None and self.verdict.kind in ("complete", "cancelled")

    def warn(self, *what: str) -> None:
        """Add warnings."""
        self.warnings = (*self.warnings, *what)

    def is_satisfied_by(self, state: str) -> bool:
        """Whether it goes on when what it waits for has ended so."""
        return state == "done" or (state == "cancelled" and self.cancelled_will_do)


def relate(
    nodes: Sequence[Node],
    search: Callable[[set[str]], Iterable[Known]],
    *,
    always: bool = False,
) -> None:
    """Hold the tasks that wait for others, and note circles and ids that lead nowhere.

    `search` yields the tasks below the root that mention any id of a set; it is called only when
    the batch does not hold what its tasks point to, or `always`: it may know of children.
    """
    names = Names(nodes)
    wanted = _wanted(nodes, names)
    outside = _apart(search(wanted), nodes) if wanted or always else []
    if outside:
        names.add(outside)
        outside = [_with_parent_by_id(known, names) for known in outside]
    _call_by_id(nodes, names)
    _wait_for_outside(outside, names)
    if wanted or always:
        for node in nodes:
            lost = [name for name in node.blocks if not names.find(name, node.path)]
            node.warn(*(f"blocks {one_line(name, 80)}, which does not exist" for name in lost))
    _settle_doubts(nodes, names)
    graph = _Graph(nodes, outside)
    graph.judge_parents()
    graph.wait_with_parents()
    graph.judge_containers()
    graph.judge_dependencies()


def _wanted(nodes: Sequence[Node], names: Names) -> set[str]:
    """Return the names by which nodes call what the verdicts depend on, and may lie outside of the
    batch: there is nothing nearer in it."""
    wanted = set()
    for node in nodes:
        if node.closed:
            continue
        pointed = [node.parent] if node.parent is not None else []
        if node.verdict is None:
            pointed += [*node.depends_on, *node.blocks]
            pointed += [name for _, told in node.may_wait for name in told]
            if _is_container(node):
                wanted.add(node.id)
        for name in pointed:
            called = names.find(name, node.path)
            if not any(one.path == node.path or _folder(one) == _folder(node) for one in called):
                wanted.add(name)
    return wanted


def _folder(one: Named) -> str:
    return os.path.dirname(one.path or "")


def _apart(found: Iterable[Known], nodes: Sequence[Node]) -> list[Known]:
    """Return what was found, each once: what shares its id with others goes by its path, too, as
    items of the batch do. One that has the id of an item may be an old copy of it: it can be meant
    by others, and says nothing itself."""
    outside = list({(known.path, known.id): known for known in found}.values())
    count = Counter(known.id for known in outside)
    inside = {node.own or node.id for node in nodes}
    told = []
    for known in outside:
        is_copy = known.id in inside
        # The id of a broken file is a guess.
        if known.state != "broken" and (is_copy or count[known.id] > 1):
            names = (*known.aliases, known.id)
            known = known._replace(id=f"{known.path}#{known.id}", aliases=names)
            known = known._replace(blocks=(), parent=None) if is_copy else known
        elif is_copy:
            continue
        told.append(known)
    return told


def _with_parent_by_id(known: Known, names: Names) -> Known:
    called = names.find(known.parent, known.path) if known.parent is not None else []
    return known._replace(parent=called[0].id) if len(called) == 1 else known


def _call_by_id(nodes: Sequence[Node], names: Names) -> None:
    """Have tasks call each other by their ids, as far as `names` knows who is meant; hold those
    that call one of several by a name."""
    for node in nodes:
        if node.closed:
            continue
        if node.parent is not None:
            node.parent = _id_of(node, "its parent is", node.parent, names)
        if node.depends_on:
            node.depends_on = [_id_of(node, "depends on", name, names) for name in node.depends_on]
    for node in nodes:
        for name in node.blocks if not _is_done(node) else ():
            for one in names.find(name, node.path):
                if isinstance(one, Node) and node.id not in one.depends_on:
                    one.depends_on = [*one.depends_on, node.id]


def _id_of(node: Node, what: str, name: str, names: Names) -> str:
    """Return the id of the one that a node calls by a name, the name for none. One that may be
    several holds the node, unless all of them are done."""
    called = names.find(name, node.path)
    ids = {one.id for one in called}
    if len(ids) > 1 and not all(map(_is_done, called)) and node.verdict is None:
        both = " and ".join(one_line(one.path or one.id, 80) for one in called[:2])
        reason = f"{what} {one_line(name, 60)}, which may be {both}: name it by its path"
        node.verdict = Verdict("held", AMBIGUOUS, reason)
    return called[0].id if len(ids) == 1 or (ids and all(map(_is_done, called))) else name


def _is_done(one: Named) -> bool:
    if isinstance(one, Node):
        return one.verdict is not None and one.verdict.kind == "complete"
    return isinstance(one, Known) and one.state == "done"


def _wait_for_outside(outside: Iterable[Known], names: Names) -> None:
    """Have tasks wait for those beside the batch that say that they do."""
    for known in outside:
        for name in known.blocks:
            for one in names.find(name, known.path):
                if isinstance(one, Node):
                    one.depends_on = [*one.depends_on, known.id]


def _settle_doubts(nodes: Sequence[Node], names: Names) -> None:
    """Have tasks wait for what stands under keys that may say so, where all of that are tasks; hold
    them where it is not."""
    for node in nodes:
        for key, told in node.may_wait:
            called = [names.find(name, node.path) for name in told]
            if all(len(one) == 1 for one in called):
                node.depends_on = [*node.depends_on, *(one[0].id for one in called)]
            elif node.verdict is None:
                node.verdict = Verdict("held", unknown.KEY, unread(key), words=(key,))


class _Graph:
    def __init__(self, nodes: Sequence[Node], outside: Iterable[Known]) -> None:
        self._nodes = nodes
        self._known: dict[str, Known] = {}
        self._waits: dict[int, frozenset[str]] = {}
        self._open_children = Counter(
            node.parent.casefold() for node in nodes if node.parent is not None and not node.closed
        )
        for known in outside:
            first = self._known.setdefault(known.id.casefold(), known)
            if first is not known and first.parent == known.parent:
                continue
            if known.parent is not None and known.state not in (*_CLOSED, "broken"):
                self._open_children[known.parent.casefold()] += 1

    @cached_property
    def _by_id(self) -> dict[str, list[Node]]:
        return _grouped(self._nodes, lambda node: node.id)

    @cached_property
    def _by_folded(self) -> dict[str, list[Node]]:
        return _grouped(self._nodes, lambda node: node.id.casefold())

    def judge_parents(self) -> None:
        """Warn of parents that do not exist and of circles of parents."""
        parents: dict[str, str] = {
            known.id.casefold(): known.parent.casefold()
            for known in self._known.values()
            if known.parent is not None
        }
        for node in self._nodes:
            if node.parent is not None:
                parents[node.id.casefold()] = node.parent.casefold()
        settled: set[str] = set()
        circles: dict[str, tuple[list[str], int]] = {}
        for start in parents:
            trail: dict[str, None] = {}
            at: str | None = start
            while at is not None and at not in settled and at not in trail:
                trail[at] = None
                at = parents.get(at)
            if at is not None and at in trail:
                names = list(trail)
                circle = names[names.index(at) :]
                circles.update((name, (circle, place)) for place, name in enumerate(circle))
            settled.update(trail)
        for node in self._nodes:
            doubtful = node.verdict is not None and node.verdict.kind == AMBIGUOUS
            if node.parent is None or node.closed or doubtful:
                continue
            if node.id.casefold() in circles:
                shown = shown_circle(*circles[node.id.casefold()], self._shown)
                node.warn(f"parents form a circle: {shown}")
            elif not self._inside(node.parent) and node.parent.casefold() not in self._known:
                node.warn(f"its parent {one_line(node.parent, 80)} does not exist")

    def wait_with_parents(self) -> None:
        """Have items wait for what those above them wait for, where their tool does so."""
        below = [node for node in self._nodes if node.waits_with_parent]
        own = {id(node): node.depends_on for node in below}
        for node in below:
            line = [node.id]
            at = node
            while at.parent is not None:
                above = self._inside(at.parent)
                if len(above) != 1 or above[0].id in line or above[0].closed:
                    break
                at = above[0]
                line.append(at.id)
                if node.verdict is None and at.state in ("blocked", "waiting"):
                    node.verdict = Verdict("held", "waits_for", _waits(at.id, _state(at)))
                others = [one for one in own.get(id(at), ()) if one not in line]
                node.depends_on = [*node.depends_on, *others]

    def judge_containers(self) -> None:
        """Hold what others still have to be done for."""
        ordered = Counter(
            node.parent.casefold()
            for node in self._nodes
            if node.parent is not None and not node.closed and self._is_ordered(node, node.parent)
        )
        for node in self._nodes if self._open_children else ():
            children = self._open_children.get(node.id.casefold(), 0)
            children -= ordered.get(node.id.casefold(), 0)
            if node.verdict is None and children:
                count = f"{children} open child{'ren' if children > 1 else ''}"
                node.verdict = Verdict("held", "container", f"has {count}")

    def _is_ordered(self, node: Node, parent: str) -> bool:
        """True if one of the two says itself that it waits for the other."""
        if parent in (node.id, *node.depends_on):
            return True
        for above in self._inside(parent):
            # A list may have thousands of boxes in one.
            if id(above) not in self._waits:
                self._waits[id(above)] = frozenset(above.depends_on)
            if node.id in self._waits[id(above)]:
                return True
        return False

    def judge_dependencies(self) -> None:
        """Hold what waits: for tasks of the batch with `after`, for others with the reason."""
        waits_for = {
            id(node): [
                other
                for name in node.depends_on
                for other in self._inside(name)
                if not other.closed
            ]
            for node in self._nodes
            if not node.closed and node.depends_on and not _is_doubled(node)
        }
        for group in dependencies_first(self._nodes, waits_for) if waits_for else ():
            circle = find_circle(group, waits_for)
            if circle:
                places = {id(node): place for place, node in enumerate(circle)}
                for node in group:
                    shown = shown_circle(circle, places.get(id(node), 0), lambda other: other.id)
                    reason = f"dependency cycle {shown}"
                    if node.verdict is None:
                        node.verdict = Verdict("held", "cycle", reason)
                    else:
                        node.warn(reason)
            elif group[0].verdict is None and group[0].depends_on:
                self._judge(group[0])

    def _judge(self, node: Node) -> None:
        reasons: dict[tuple[str, str], None] = {}
        after: dict[str, None] = {}
        for name in dict.fromkeys(node.depends_on):
            inside = self._inside(name)
            if inside:
                for other in inside:
                    if other.closed and other.verdict is not None:
                        ended = "done" if other.verdict.kind == "complete" else "cancelled"
                        if not node.is_satisfied_by(ended):
                            reasons["cancelled_dependency", _cancelled(other.id)] = None
                    elif other.verdict is None or other.verdict.kind == BEHIND:
                        after[other.id] = None
                    else:
                        reasons["waits_for", _waits(other.id, _state(other))] = None
                continue
            known = self._known.get(name.casefold())
            if known is None:
                elsewhere = "#" in name and not name.startswith(f"{node.path}#")
                shown = one_line(name, 80)
                reason = f"depends on {shown}, which does not exist"
                if elsewhere:
                    reason = f"depends on {shown}, which is not in this batch"
                reasons["missing_dependency", reason] = None
            elif known.state == "broken":
                reasons["waits_for", _waits(known.id, "its file is broken")] = None
            elif known.state == "cancelled" and not node.cancelled_will_do:
                reasons["cancelled_dependency", _cancelled(known.id)] = None
            elif known.state not in _CLOSED:
                status = known.status or known.state.replace("_", " ")
                reasons["waits_for", _waits(known.id, one_line(status, 40))] = None
        if reasons:
            kind, reason = next(iter(reasons))
            more = len(reasons) - 1
            node.verdict = Verdict("held", kind, f"{reason}, and {more} more" if more else reason)
        elif after:
            node.after = tuple(after)
            first = one_line(node.after[0], 80)
            if len(node.after) == 1:
                reason = f"waiting on {first}, which is in this batch"
            else:
                reason = f"waiting on {first} and {len(after) - 1} more, which are in this batch"
            node.verdict = Verdict("held", BEHIND, reason)

    def _inside(self, name: str) -> list[Node]:
        return self._by_id.get(name) or self._by_folded.get(name.casefold()) or []

    def _shown(self, folded: str) -> str:
        nodes = self._by_folded.get(folded)
        if nodes:
            return nodes[0].id
        return self._known[folded].id if folded in self._known else folded


def _grouped(nodes: Iterable[Node], name: Callable[[Node], str]) -> dict[str, list[Node]]:
    found: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        found[name(node)].append(node)
    return found


def _is_container(node: Node) -> bool:
    return node.type is not None and node.type.lower() in CONTAINERS


def _is_doubled(node: Node) -> bool:
    """True where nobody can tell which of several is meant, and so for what it waits."""
    return node.verdict is not None and node.verdict.kind == SAME_ID


def _cancelled(item_id: str) -> str:
    shown = one_line(item_id, 80)
    return f"depends on {shown}, which was cancelled: take it out of what this waits for"


def _waits(item_id: str, state: str) -> str:
    return f"waits for {one_line(item_id, 80)} ({state})"


# The kinds of verdicts that say what others have.
_BY_OTHERS = ("locked", "open", "elsewhere")
# What is said of a task that others wait for, by the kind of its own verdict.
_STATES = {
    SAME_ID: "an id that is there twice",
    "cycle": "in a dependency cycle",
    "waits_for": "itself waiting",
    "missing_dependency": "itself waiting",
    "cancelled_dependency": "itself waiting",
}


def _state(node: Node) -> str:
    verdict = node.verdict
    if verdict is not None and verdict.kind in _STATES:
        return _STATES[verdict.kind]
    if verdict is not None and (node.state == "ready" or verdict.kind in _BY_OTHERS):
        return verdict.reason.split(";")[0]
    return one_line(node.status, 40) if node.status else node.state.replace("_", " ")
