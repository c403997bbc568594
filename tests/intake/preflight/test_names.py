"""Tasks call each other by ids, file names, numbers, aliases and paths; the nearest is meant."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from hypervisor.intake.preflight.names import Names


class One(NamedTuple):
    id: str
    path: str | None
    aliases: tuple[str, ...] = ()


def find(names: Names, name: str, near: str = "t/x.md") -> list[str]:
    return [one.id for one in names.find(name, near)]


def test_a_name_is_an_id_a_stem_a_number_an_alias_or_a_path() -> None:
    names = Names(
        [
            One("ab-1", "t/ab-1-fix.md", ("old name", "perma/link")),
            One("t/Dig the hole.md", "t/Dig the hole.md"),
            One("t/003-ready-p1-wire.md", "t/003-ready-p1-wire.md"),
            One("TASK-12", "t/task-12 - Ship.md"),
        ]
    )
    for name in (
        "ab-1",
        "AB-1",
        "ab-1-fix",
        "Old Name",
        "perma/link",
        "t/ab-1-fix.md",
        r"t\ab-1-fix.md",
    ):
        assert find(names, name) == ["ab-1"], name
    assert find(names, "dig the hole") == ["t/Dig the hole.md"]
    assert find(names, "3") == find(names, "003") == ["t/003-ready-p1-wire.md"]
    assert find(names, "12") == find(names, "task-12") == ["TASK-12"]
    assert find(names, "ab-2") == find(names, "4") == []


def test_the_nearest_is_meant_and_two_in_one_place_are_two() -> None:
    names = Names([One(f"{folder}/1.md", f"{folder}/1.md") for folder in ("e/a", "e/b", "f")])
    assert find(names, "1", "e/b/2.md") == ["e/b/1.md"]
    assert find(names, "1", "f/2.md") == ["f/1.md"]
    assert sorted(find(names, "1", "e/x.md")) == ["e/a/1.md", "e/b/1.md"]


def test_what_is_among_the_sources_goes_before_what_is_not() -> None:
    names = Names([One("in/1.md", "in/1.md")])
    names.add([One("out/1.md", "out/1.md")])
    assert find(names, "1", "x/2.md") == ["in/1.md"]


@given(st.lists(st.text("ab1-. /", max_size=6), max_size=6), st.text("ab1-. /", max_size=6))
def test_an_id_that_only_one_has_is_always_that_one(ids: list[str], name: str) -> None:
    names = Names([One(item_id, f"t/{place}.md") for place, item_id in enumerate(ids)])
    if [one.casefold() for one in ids].count(name.strip()) == 1:
        assert find(names, name) == [name.strip()]


def test_a_sign_before_a_name_and_a_title_behind_it_are_no_part_of_it() -> None:
    names = Names([One("TASK-1", "t/task-1 - Ship.md"), One("a", "t/a.md"), One("#b", "t/x.md")])
    assert [
        find(names, name) for name in ("#1", "TASK-1: Ship", "task-1 - Ship it", "TASK-01")
    ] == [["TASK-1"]] * 4
    assert [find(names, name) for name in ("@a", "#b", "Deploy - a")] == [["a"], ["#b"], []]


def test_a_path_that_leads_up_begins_in_the_folder_of_who_names_it() -> None:
    names = Names([One(f"{folder}/dig.md", f"{folder}/dig.md") for folder in ("t", "u")])
    assert find(names, "../t/dig", "u/x.md") == ["t/dig.md"]


def test_a_name_that_is_an_id_far_away_is_the_file_beside_it() -> None:
    names = Names([One("3", "far/x.md"), One("t/3-wire.md", "t/3-wire.md")])
    assert find(names, "3", "t/x.md") == ["t/3-wire.md"]
    assert find(names, "3", "far/y.md") == ["3"]
