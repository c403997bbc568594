"""What tasks wait for: each other, their children, and ids that lead nowhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.intake.preflight import Preflight
from hypervisor.intake.preflight.graph import Node, relate

Write = Callable[..., Path]
Sort = Callable[..., Preflight]


def held(checked: Preflight) -> dict[str, str]:
    return {entry.id: entry.reason for entry in checked.held}


def warned(checked: Preflight) -> dict[str | None, str]:
    return {warning.id: warning.reason for warning in checked.warnings}


@pytest.mark.parametrize("place", ["b.md", "archive/b.md"])
def test_only_what_is_done_satisfies_and_what_is_cancelled_holds(
    place: str, task: Write, sort: Sort
) -> None:
    task("a.md", depends_on="[b]")
    task(place, status="done")
    assert [entry.id for entry in sort().ready] == ["a"]
    task(place, status="cancelled")
    checked = sort()
    assert [(entry.id, entry.kind) for entry in checked.held] == [("a", "cancelled_dependency")]
    assert "b, which was cancelled" in held(checked)["a"]


def test_a_dependency_closed_by_its_section_is_satisfied(task: Write, sort: Sort) -> None:
    task("a.md", depends_on="[b]")
    task("b.md", "## Closed\n\nFixed.\n")
    assert [entry.id for entry in sort().ready] == ["a"]


def test_a_task_behind_one_of_the_batch_is_held_with_what_must_come_first(
    task: Write, sort: Sort
) -> None:
    task("a.md", depends_on="[b]")
    task("b.md", depends_on="[c, d]")
    task("c.md")
    task("d.md")
    checked = sort()
    assert held(checked) == {
        "a": "waiting on b, which is in this batch",
        "b": "waiting on c and 1 more, which are in this batch",
    }
    assert {entry.id: entry.after for entry in checked.held} == {"a": ("b",), "b": ("c", "d")}


def test_a_task_behind_one_that_is_held_waits_for_it_by_name(task: Write, sort: Sort) -> None:
    task("a.md", depends_on="[b]")
    task("b.md", depends_on="[c]")
    task("c.md", status="Blocked")
    checked = sort()
    assert held(checked)["b"] == "waits for c (Blocked)"
    assert held(checked)["a"] == "waits for b (itself waiting)"
    assert all(entry.after == () for entry in checked.held)


def test_a_dependency_outside_the_sources_is_found_below_the_root(task: Write, sort: Sort) -> None:
    task("in/a.md", id="a", depends_on="[x, y]")
    task("in/b.md", id="b", depends_on="[y]")
    task("elsewhere/x.md", id="x", status="In Progress")
    task("archive/y.md", id="y", status="done")
    checked = sort("in")
    assert held(checked) == {"a": "waits for x (In Progress)"}
    assert [entry.id for entry in checked.ready] == ["b"]


def test_a_dependency_that_does_not_exist_holds_a_task(task: Write, sort: Sort) -> None:
    task("a.md", depends_on="[aops-zz]")
    checked = sort()
    assert held(checked) == {"a": "depends on aops-zz, which does not exist"}
    assert checked.held[0].kind == "missing_dependency"


def test_a_dependency_whose_file_is_broken_holds_a_task(
    task: Write, write: Write, sort: Sort
) -> None:
    task("a.md", depends_on="[b]")
    write("b.md", "---\nid: b\ntitle: Fix: it\n---\n")
    checked = sort()
    assert held(checked) == {"a": "waits for b (its file is broken)"}
    assert checked.broken[0].id == "b"


@pytest.mark.parametrize("written", ["B-1", "b-1", '"[[b-1|The b]]"', "[[b-1]]", "[B-1]"])
def test_a_dependency_is_found_in_any_case_and_as_a_link(
    written: str, task: Write, sort: Sort
) -> None:
    task("x/b.md", id="B-1", status="blocked")
    task("a.md", depends_on=written)
    assert held(sort("a.md")) == {"a": "waits for B-1 (blocked)"}


def test_a_dependency_whose_id_is_written_with_escapes_is_found(task: Write, sort: Sort) -> None:
    task("in/a.md", id="a", depends_on="[aops-1]")
    task("x.md", id='"\\x61ops-1"', status="blocked")
    assert held(sort("in")) == {"a": "waits for aops-1 (blocked)"}


@pytest.mark.parametrize("written", ["null", "", "[]", "~", "[null]"])
def test_no_dependency_is_none_however_it_is_written(written: str, task: Write, sort: Sort) -> None:
    task("a.md", depends_on=written)
    assert len(sort().ready) == 1


def test_dependencies_of_the_other_family_count(task: Write, sort: Sort) -> None:
    task("a.md", id="TASK-1", status="To Do", dependencies="[task-2]", labels="[]")
    task("b.md", id="TASK-2", status="In Progress", dependencies="[]", labels="[]")
    assert held(sort())["TASK-1"] == "waits for TASK-2 (In Progress)"


def test_a_circle_of_dependencies_is_told_for_each_of_its_tasks(task: Write, sort: Sort) -> None:
    task("a.md", depends_on="[b]")
    task("b.md", depends_on="[c]")
    task("c.md", depends_on="[a]")
    task("d.md", depends_on="[a]")
    task("e.md", depends_on="[e]")
    assert held(sort()) == {
        "a": "dependency cycle a → b → c → a",
        "b": "dependency cycle b → c → a → b",
        "c": "dependency cycle c → a → b → c",
        "d": "waits for a (in a dependency cycle)",
        "e": "dependency cycle e → e",
    }


def test_a_circle_through_a_finished_task_is_none(task: Write, sort: Sort) -> None:
    task("a.md", depends_on="[b]")
    task("b.md", depends_on="[a]", status="done")
    assert [entry.id for entry in sort().ready] == ["a"]


def test_a_container_with_open_children_is_held(task: Write, sort: Sort) -> None:
    task("e.md", type="epic")
    task("a.md", parent="e")
    task("b.md", parent="e", status="blocked")
    task("c.md", parent="e", status="done")
    checked = sort()
    assert held(checked)["e"] == "has 2 open children"
    assert checked.ready[0].id == "a"
    assert len(sort(purpose="triage").ready) == 3


def test_children_outside_the_sources_hold_an_epic(task: Write, sort: Sort) -> None:
    task("in/e.md", id="e", type="epic")
    task("elsewhere/a.md", id="a", parent="e")
    assert held(sort("in")) == {"e": "has 1 open child"}


def test_an_epic_whose_children_are_all_closed_is_ready(task: Write, sort: Sort) -> None:
    task("e.md", type="epic")
    task("a.md", parent="e", status="done")
    assert [entry.id for entry in sort().ready] == ["e"]


def test_a_parent_that_does_not_exist_is_told_and_holds_nothing(task: Write, sort: Sort) -> None:
    task("a.md", parent="aops-gone")
    task("in/b.md", id="b", parent="e")
    task("e.md", id="e", type="epic")
    checked = sort("a.md", "in")
    assert len(checked.ready) == 2
    assert warned(checked) == {"a": "its parent aops-gone does not exist"}


def test_a_circle_of_parents_is_told_and_ends(task: Write, sort: Sort) -> None:
    task("a.md", parent="b")
    task("b.md", parent="a")
    task("c.md", parent="a")
    told = warned(sort())
    assert told["a"] == "parents form a circle: a → b → a"
    assert told["b"] == "parents form a circle: b → a → b"
    assert "c" not in told


def test_a_child_that_waits_for_its_parent_does_not_hold_it(task: Write, sort: Sort) -> None:
    task("a.md")
    task("b.md", parent="a", depends_on="[a]")
    checked = sort()
    assert [entry.id for entry in checked.ready] == ["a"]
    assert held(checked) == {"b": "waiting on a, which is in this batch"}


def test_a_parent_of_itself_does_not_hold_itself(task: Write, sort: Sort) -> None:
    task("a.md", parent="a")
    checked = sort()
    assert len(checked.ready) == 1
    assert warned(checked) == {"a": "parents form a circle: a → a"}


def test_triage_takes_tasks_whatever_they_wait_for(task: Write, sort: Sort) -> None:
    task("a.md", depends_on="[gone]")
    task("b.md", depends_on="[a]")
    assert len(sort(purpose="triage").ready) == 2


def test_a_chain_longer_than_python_recurses_ends() -> None:
    nodes = [Node(str(n), "active", "ready", None, None, [str(n + 1)]) for n in range(20_000)]
    relate(nodes, lambda wanted: [])
    assert nodes[-1].verdict is not None and nodes[-1].verdict.kind == "missing_dependency"
    assert nodes[0].verdict is not None and nodes[0].verdict.kind == "waits_for"


def test_a_circle_of_many_tasks_ends_in_a_short_line() -> None:
    count = 5_000
    nodes = [
        Node(str(n), "active", "ready", None, str((n + 1) % count), [str((n + 1) % count)])
        for n in range(count)
    ]
    relate(nodes, lambda wanted: [])
    assert all(len(warning) < 200 for node in nodes for warning in node.warnings)
    assert len(nodes[0].warnings) == 1
    verdict = nodes[0].verdict
    assert verdict is not None and verdict.kind == "cycle" and len(verdict.reason) < 200


@given(st.lists(st.lists(st.integers(0, 8), max_size=4), max_size=8))
def test_whatever_tasks_wait_for_the_ready_can_be_worked_off(graph: list[list[int]]) -> None:
    nodes = [
        Node(str(place), "active", "ready", None, None, [str(other) for other in others])
        for place, others in enumerate(graph)
    ]
    relate(nodes, lambda wanted: [])
    done = {node.id for node in nodes if node.verdict is None}
    behind = [node for node in nodes if node.after]
    for _ in nodes:
        done |= {node.id for node in behind if done.issuperset(node.after)}
    assert all(node.id in done for node in behind)
    for node in nodes:
        reachable, to_visit = set(), list(node.depends_on)
        while to_visit:
            other = to_visit.pop()
            if other not in reachable and int(other) < len(nodes):
                reachable.add(other)
                to_visit += nodes[int(other)].depends_on
        is_circle = node.id in reachable
        assert (node.verdict is not None and node.verdict.kind == "cycle") == is_circle
        assert (node.verdict is None) == (not node.depends_on)


def test_a_task_beside_the_sources_blocks_one_of_them_by_any_name(
    task: Write, write: Write, sort: Sort
) -> None:
    task("in/a.md", id="ab-1", aliases="[The door]")
    task("out/b.md", blocks="['[[the door]]']")
    assert held(sort("in")) == {"ab-1": "waits for out/b (active)"}
    task("out/b.md", blocks="[ab-1]", status="done")
    assert [entry.id for entry in sort("in").ready] == ["ab-1"]


def test_what_blocks_a_task_that_is_nowhere_is_told(task: Write, sort: Sort) -> None:
    task("a.md", blocks="[b, c]")
    task("b.md")
    assert warned(sort("a.md")) == {"a": "blocks c, which does not exist"}


def test_a_parent_that_may_be_two_tasks_holds_and_is_named(task: Write, sort: Sort) -> None:
    task("001-x.md", id=None)
    task("001-y.md", id=None)
    task("002.md", parent="1", id=None)
    assert "its parent is 1, which may be 001-x.md and 001-y.md" in held(sort())["002.md"]


def test_a_letter_with_an_accent_is_one_whoever_wrote_it(task: Write, sort: Sort) -> None:
    task("a.md", id="caf\u00e9")
    task("b.md", depends_on="['cafe\u0301']")
    assert list(held(sort())) == ["b"]


def test_an_empty_mapping_is_no_dependency(task: Write, sort: Sort) -> None:
    task("a.md", depends_on="{}")
    assert [entry.id for entry in sort().ready] == ["a"]
