"""Lists of named values: as those of the library, without its weight."""

from __future__ import annotations

import pickle

import pytest

from hypervisor.system.records import NamedTuple, Record


class Place(NamedTuple):
    """A place."""

    line: int
    name: str = "here"


class Told(Record):
    """What was told."""

    aside = frozenset({"when"})
    what: str
    when: int = 0


def test_a_tuple_has_names_and_defaults() -> None:
    place = Place(3)
    assert place == (3, "here") and place.name == "here"
    assert place._replace(name="there") == Place(line=3, name="there")
    assert place._asdict() == {"line": 3, "name": "here"}
    assert pickle.loads(pickle.dumps(place)) == place
    assert repr(place) == "Place(line=3, name='here')"
    line, _ = place
    assert line == 3


class Odd(NamedTuple):
    """Has names that Python's own methods use, too."""

    kind: str
    self: int = 0


class SamePlace(Place):
    """Has another name for the same values."""


def test_no_name_of_a_value_is_taken() -> None:
    assert Odd(kind="a", self=1) == ("a", 1)
    assert Odd("a")._replace(self=2).self == 2


def test_a_kind_of_a_tuple_has_its_values() -> None:
    assert SamePlace(1, name="b") == (1, "b") and SamePlace(1).name == "here"


@pytest.mark.parametrize("values", [(), (1, "a", 2)])
def test_a_tuple_takes_no_more_and_no_fewer_values_than_it_has_names(
    values: tuple[object, ...],
) -> None:
    with pytest.raises(TypeError):
        Place(*values)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Place(1, colour="red")  # type: ignore[call-arg]


def test_a_record_has_its_values_by_name_and_is_equal_by_those_that_count() -> None:
    assert Told("a").when == 0
    assert Told("a", when=1) == Told(what="a", when=2) != Told("b", 2)
    assert Told("a") != "a"


@pytest.mark.parametrize("values", [{}, {"what": "a", "who": "b"}])
def test_a_record_refuses_what_it_does_not_know_and_misses_what_it_needs(
    values: dict[str, str],
) -> None:
    with pytest.raises(TypeError):
        Told(**values)  # type: ignore[arg-type]
