"""The order in which nodes that wait for each other come, and the circles among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from hypervisor.system.text import one_line

T = TypeVar("T")
_SHOWN = 8


def dependencies_first(nodes: Sequence[T], waits_for: Mapping[int, list[T]]) -> Iterator[list[T]]:
    """Yield the strongly connected groups of nodes, each after those that it waits for.

    `waits_for` maps the identity (`id()`) of a node to the nodes that it waits for.
    """
    number: dict[int, int] = {}
    low: dict[int, int] = {}
    on_stack: set[int] = set()
    stack: list[T] = []
    for start in nodes:
        if id(start) in number:
            continue
        number[id(start)] = low[id(start)] = len(number)
        if not waits_for.get(id(start)):
            yield [start]
            continue
        stack.append(start)
        on_stack.add(id(start))
        work = [(start, iter(waits_for.get(id(start), ())))]
        while work:
            node, others = work[-1]
            me = id(node)
            for other in others:
                if id(other) not in number:
                    number[id(other)] = low[id(other)] = len(number)
                    stack.append(other)
                    on_stack.add(id(other))
                    work.append((other, iter(waits_for.get(id(other), ()))))
                    break
                if id(other) in on_stack:
                    low[me] = min(low[me], number[id(other)])
            else:
                work.pop()
                if work:
                    above = id(work[-1][0])
                    low[above] = min(low[above], low[me])
                if low[me] == number[me]:
                    group = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(id(member))
                        group.append(member)
                        if member is node:
                            break
                    yield group


def find_circle(group: list[T], waits_for: Mapping[int, list[T]]) -> list[T]:
    """Return the nodes of one circle within a strongly connected group, [] if it has none."""
    first = group[-1]
    if len(group) == 1 and first not in waits_for.get(id(first), ()):
        return []
    members = set(map(id, group))
    trail: dict[int, T] = {}
    at = first
    while id(at) not in trail:
        trail[id(at)] = at
        at = next(other for other in waits_for[id(at)] if id(other) in members)
    nodes = list(trail.values())
    return nodes[nodes.index(at) :]


def shown_circle(members: list[T], start: int, name: Callable[[T], str]) -> str:
    """Return a circle in words, from the member at `start` on; `name` gives what each is called."""
    count = len(members)
    shown = [
        one_line(name(members[(start + step) % count]), 60) for step in range(min(count, _SHOWN))
    ]
    return " → ".join([*shown, *(["…"] if count > _SHOWN else []), shown[0]])
