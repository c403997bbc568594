"""Ids as file names: plain ids as they are, all others safe, and no two alike."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.system.keys import key

PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}")
HOSTILE = [
    "", ".", "..", "...", "/", "a/b", "../../etc/passwd", "a\0b", "a\nb", "$(x)", "`x`", "'", '"',
    " ", "~", "%", "%2F", "x" * 201, "é" * 200, "/" * 500, "." * 201, "\udcff", "\U0001f600",
    "x" * 150 + "/" * 60,
]  # fmt: skip


@given(st.from_regex(PLAIN, fullmatch=True))
def test_a_plain_id_is_its_own_key(item_id: str) -> None:
    assert key(item_id) == item_id


@given(st.text() | st.text("./%~aé", max_size=400))
def test_a_key_is_one_short_name_of_safe_characters(item_id: str) -> None:
    name = key(item_id)
    assert re.fullmatch(r"[A-Za-z0-9_%-][A-Za-z0-9_.%~-]*", name)
    assert len(name) <= 200


@given(st.lists(st.text("./%~aAé2F", max_size=300), unique=True, max_size=40))
def test_no_two_ids_share_a_key(ids: list[str]) -> None:
    assert len({key(item_id) for item_id in ids}) == len(ids)


def test_ids_that_differ_only_at_their_ends_differ_in_their_keys() -> None:
    ids = [head + "x" * 300 + tail for head in ("a", "é") for tail in ("1", "2", "")]
    assert len({key(item_id) for item_id in ids}) == len(ids)


@pytest.mark.parametrize("item_id", HOSTILE)
def test_a_hostile_id_names_one_entry_in_the_folder(item_id: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    os.mkdir(folder / key(item_id))
    assert os.listdir(folder) == [key(item_id)]
    assert os.listdir(tmp_path) == ["in"]


@pytest.mark.parametrize(
    ("item_id", "name"),
    [
        ("a b", "a%20b"),
        ("..", "%2E."),
        ("tasks/a.md", "tasks%2Fa.md"),
        ("ü", "%C3%BC"),
        ("50%", "50%25"),
    ],
)
def test_what_is_not_plain_is_percent_encoded(item_id: str, name: str) -> None:
    assert key(item_id) == name
