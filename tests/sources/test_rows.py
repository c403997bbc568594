"""Rows of CSV, TSV and JSONL files."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.sources import Found, SourceError
from hypervisor.sources.rows import Rows

Write = Callable[..., Path]
Find = Callable[..., list[Found]]


def test_rows_of_a_table_keep_quotes_and_newlines_in_cells(write: Write, find: Find) -> None:
    write("r.csv", b'\xef\xbb\xbfid,text\r\n1,"two\r\nlines, ""quoted"""\r\n2,plain\r\n')
    first, second = find("r.csv", id_column="id")
    assert first.row == {"id": "1", "text": 'two\r\nlines, "quoted"'}
    assert (first.row_id, first.line) == ("1", 2)
    assert (second.row_id, second.line) == ("2", 4)


@pytest.mark.parametrize(("name", "text"), [("r.tsv", "a\tb\n1\t2,3\n"), ("r.csv", "a;b\n1;2,3\n")])
def test_tabs_and_semicolons_divide_cells_too(
    name: str, text: str, write: Write, find: Find
) -> None:
    write(name, text)
    if name == "r.csv":
        write(name, text.replace("2,3", "2"))
    assert [found.row for found in find(name)] == [{"a": "1", "b": "2,3" if "tsv" in name else "2"}]


def test_a_row_keeps_its_id_when_rows_are_put_above_it(write: Write, find: Find) -> None:
    write("r.csv", "a,b\n1,2\n")
    (before,) = find("r.csv")
    write("r.csv", "a,b\n5,6\n1,2\n")
    assert find("r.csv")[1].row_id == before.row_id


def test_equal_rows_have_ids_of_their_own_across_files_too(write: Write, find: Find) -> None:
    write("r.csv", "a\n1\n1\n")
    write("s.csv", "a\n1\n")
    ids = [found.row_id for found in find("r.csv", "s.csv")]
    assert len(set(ids)) == 3
    assert ids == [found.row_id for found in find("r.csv", "s.csv")]


def test_a_row_with_too_many_cells_or_without_id_is_one_broken_entry(
    write: Write, find: Find
) -> None:
    write("r.csv", "id,b\n1,2,3\n,2\n3\n\n4,5\n")
    many, empty, short, good = find("r.csv", id_column="id")
    assert many.problem is not None and many.line == 2
    assert many.problem.reason == "3 cells under 2 columns"
    assert empty.problem is not None and empty.line == 3
    assert short.row == {"id": "3", "b": ""}
    assert good.row_id == "4"


def test_a_quote_that_is_never_closed_is_one_broken_entry(write: Write, find: Find) -> None:
    write("r.csv", 'a,b\n1,2\n3,"open\n4,5\n')
    found = find("r.csv")
    assert found[0].problem is None
    assert found[1].problem is not None and found[1].line == 3


def test_a_table_that_is_none_is_a_source_error(write: Write, find: Find) -> None:
    write("empty.csv", "")
    write("twice.csv", "a,a\n1,2\n")
    write("latin.csv", b"a,b\n1,caf\xe9\n")
    write("r.csv", "a,b\n1,2\n")
    for name, message in (
        ("empty.csv", "no columns"),
        ("twice.csv", "two columns are called 'a'"),
        ("latin.csv", r"latin\.csv:2: not UTF-8"),
    ):
        with pytest.raises(SourceError, match=message):
            find(name)
    with pytest.raises(SourceError, match="no column 'id'; its columns are: a, b"):
        find("r.csv", id_column="id")


def test_a_broken_line_of_json_is_one_broken_entry_with_its_line(write: Write, find: Find) -> None:
    write("r.jsonl", b'{"id": 1}\n{"id": \n\n[1]\n\xff\n{"id": {"a": 1}}\n{"b": 1}\n{"id": "x"}')
    found = find("r.jsonl", id_column="id")
    assert [(one.line, one.row_id) for one in found if one.problem is None] == [(1, "1"), (8, "x")]
    assert [one.line for one in found if one.problem is not None] == [2, 4, 5, 6, 7]


def test_json_nested_deeper_than_python_recurses_is_one_broken_entry(
    write: Write, find: Find
) -> None:
    write("r.jsonl", '{"a": ' + "[" * 200_000 + "]" * 200_000 + '}\n{"a": 1}\n')
    broken, good = find("r.jsonl")
    assert broken.problem is not None and good.problem is None


def test_half_a_character_in_json_is_one_broken_entry(write: Write, find: Find) -> None:
    write("r.jsonl", '{"id": "\\ud800"}\n{"id": "\\ud83d\\ude80"}\n')
    broken, good = find("r.jsonl", id_column="id")
    assert broken.problem is not None and broken.line == 1
    assert good.row_id == "🚀"


def test_json_lines_come_through_a_pipe(find: Find) -> None:
    (found,) = find("-", stdin=io.BytesIO(b'{"id": "a"}\n'), id_column="id")
    assert (found.path, found.row, found.row_id) == (None, {"id": "a"}, "a")


def test_a_table_within_a_list_or_a_folder_is_a_file(write: Write, find: Find) -> None:
    write("r.csv", "a\n1\n")
    write("queue.txt", "r.csv\n")
    assert [found.row for found in find("queue.txt")] == [None]


@given(
    st.lists(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=3))
)
def test_every_row_has_an_id_of_its_own_and_the_same_each_time(
    rows: list[dict[str, object]],
) -> None:
    import json

    lines = [json.dumps(row).encode() for row in rows]
    first = [found.row_id for found in Rows(None).of_lines(lines, "-")]
    assert len(set(first)) == len(rows)
    assert first == [found.row_id for found in Rows(None).of_lines(lines, "-")]
