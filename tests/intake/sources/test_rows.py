"""Rows of CSV, TSV and JSONL files."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.config.settings import load
from hypervisor.intake.sources import Found, SourceError
from hypervisor.intake.sources.rows import Rows
from hypervisor.system.reading import NotReadable, read_pipe

Write = Callable[..., Path]
Find = Callable[..., list[Found]]
SETTINGS = load("/")


def test_rows_of_a_table_keep_quotes_and_newlines_in_cells(write: Write, find: Find) -> None:
    write("r.csv", b'\xef\xbb\xbfid,text\r\n1,"two\r\nlines, ""quoted"""\r\n2,plain\r\n')
    first, second = find("r.csv", id_column="id")
    assert first.row == {"id": "1", "text": 'two\r\nlines, "quoted"'}
    assert (first.row_id, first.line) == ("1", 2)
    assert (second.row_id, second.line) == ("2", 4)


def test_the_id_of_a_row_is_a_hash_of_its_json_whatever_the_order_of_its_keys(
    write: Write, find: Find
) -> None:
    row = {"b": 'é "\n', "a": 1, "c": [1.5, None, {"y": True, "x": "\u2028"}], "d": 10**30}
    write("r.jsonl", f"{json.dumps(row)}\n{json.dumps(row, ensure_ascii=False)}\n")
    told = json.dumps(row, sort_keys=True, separators=(",", ":")).encode()
    name = f"row-{hashlib.blake2b(told, digest_size=8).hexdigest()}"
    assert [found.row_id for found in find("r.jsonl")] == [name, f"{name}-2"]


@pytest.mark.parametrize(("name", "text"), [("r.tsv", "a\tb\n1\t2,3\n"), ("r.csv", "a;b\n1;2,3\n")])
def test_tabs_and_semicolons_divide_cells_too(
    name: str, text: str, write: Write, find: Find
) -> None:
    write(name, text)
    if name == "r.csv":
        write(name, text.replace("2,3", "2"))
    assert [found.row for found in find(name)] == [{"a": "1", "b": "2,3" if "tsv" in name else "2"}]


@pytest.mark.parametrize(
    "text",
    ["a|b\n1|2,3\n", "a\tb\n1\t2,3\n", 'sep=;\n"a";"b"\n1;2,3\n', "\n \na;b\n1;2,3\n",
     'a, b\n1, "2,3"\n'],
)  # fmt: skip
def test_a_table_is_divided_as_its_header_is(text: str, write: Write, find: Find) -> None:
    write("r.csv", text)
    assert [found.row for found in find("r.csv")] == [{"a": "1", "b": "2,3"}]


def test_a_column_is_found_in_any_letters(write: Write, find: Find) -> None:
    write("r.csv", "ID,b\nx,2\n")
    assert [found.row_id for found in find("r.csv", id_column="id")] == ["x"]


@pytest.mark.parametrize(
    ("text", "count"),
    [('{"data": {"repository": {"issues": {"nodes": [{"id": 1}], "pageInfo": {}}}}}', 1),
     ('{"data": {"issues": [{"id": 1}, {"id": 2}], "total": 2}}', 2), ("[]", 0)],
)  # fmt: skip
def test_the_array_of_an_answer_is_rows_however_deep_it_is(
    text: str, count: int, write: Write, find: Find
) -> None:
    write("r.json", text)
    assert [found.row for found in find("r.json")] == [{"id": 1 + n} for n in range(count)]


@pytest.mark.parametrize(("name", "text"), [("r.json", '["a", "b"]'), ("r.jsonl", '"a"\n"b"\n')])
def test_a_list_of_texts_is_one_of_prompts(name: str, text: str, write: Write, find: Find) -> None:
    write(name, text)
    assert [found.row for found in find(name)] == [{"prompt": "a"}, {"prompt": "b"}]


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


_TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=3)


@given(st.lists(st.dictionaries(_TEXT, st.integers() | _TEXT, max_size=3)))
def test_every_row_has_an_id_of_its_own_and_the_same_each_time(
    rows: list[dict[str, object]],
) -> None:
    import json

    lines = b"\n".join(json.dumps(row).encode() for row in rows)
    first = [found.row_id for found in Rows(None, SETTINGS, None).of_lines(lines, "-")]
    assert len(set(first)) == len(rows)
    assert first == [found.row_id for found in Rows(None, SETTINGS, None).of_lines(lines, "-")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[" * 100_000, "not JSON"),
        ('{"a": ' + "[" * 200 + "]" * 200 + "}", "nested too deep"),
        ('{"a": [' + "1," * 30_000 + "1]}", "more than 20,000 values"),
        ('{"a": ' + "9" * 5_000 + "}", "not JSON"),
        ('{"a": "' + "x" * (1 << 20) + '"}', "longer than 1 MiB"),
        ('{"a": 1, "a": 2}', "'a' appears twice"),
        ('{"a": "\\u0000"}', "NUL"),
        ('{"a": "\0"}', "NUL"),
        ('{"id": "' + "x" * 501 + '"}', "longer than 500"),
        ('{"id": NaN', "not JSON"),
        ('{"id": NaN}', "NaN is not a JSON number"),
        ('{"id": "x", "n": [-Infinity]}', "-Infinity is not a JSON number"),
        ('{"id": "x", "n": 1e999}', "1e999 is too large a number"),
        ("null", "null, not an object"),
        ("[1]", "an array, not an object"),
        ("1.5", "a number, not an object"),
    ],
)
def test_a_json_line_without_end_is_one_broken_row_and_the_next_is_read(
    write: Write, find: Find, line: str, reason: str
) -> None:
    write("r.jsonl", '{"id": "a"}\n' + line + '\n{"id": "b"}\n')
    first, broken, last = find("r.jsonl", id_column="id")
    assert (first.row_id, last.row_id, last.line) == ("a", "b", 3)
    assert broken.problem is not None and reason in broken.problem.reason
    assert broken.line == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("x" * (1 << 20) + ",y", "longer than 1 MiB"),
        ("a\0b,c", "NUL"),
        ('"a\n' + "x" * (1 << 20) + "\n", "longer than 1 MiB"),
    ],
)
def test_a_line_of_a_table_without_end_is_broken_and_later_rows_are_read(
    write: Write, find: Find, line: str, reason: str
) -> None:
    write("r.csv", f"id,b\n1,x\n{line}\n2,y\n")
    found = find("r.csv", id_column="id")
    good = [one.row_id for one in found if one.problem is None]
    assert (good[0], good[-1]) == ("1", "2")
    assert any(one.problem is not None and reason in one.problem.reason for one in found)


def test_a_quote_that_is_never_closed_ends_at_the_bound(write: Write, find: Find) -> None:
    write("r.csv", 'id,b\n1,"' + ("x" * 1000 + "\n") * 2000)
    found = find("r.csv", id_column="id")
    assert found[0].line == 2 and found[0].problem is not None
    assert "field larger" in found[0].problem.reason


def test_a_table_of_columns_without_end_is_refused(write: Write, find: Find) -> None:
    write("r.csv", ",".join(f"c{n}" for n in range(2000)) + "\n1\n" * 100_000)
    with pytest.raises(SourceError, match="more than 1000 columns"):
        find("r.csv")


@pytest.mark.parametrize("name", ["r.csv", "r.jsonl", "l.list", "queue.txt", "@l"])
def test_a_source_that_never_ends_is_refused_soon(
    write: Write, find: Find, project: Path, name: str
) -> None:
    path = project / name.removeprefix("@")
    path.symlink_to("/dev/zero")
    write("a.md")
    errors: list[SourceError] = []
    found = find(name, "a.md", on_error=errors.append)
    assert [Path(str(one.path)).name for one in found] == ["a.md"] and len(errors) == 1
    path.unlink()
    path.touch()
    os.truncate(path, 2 << 30)
    errors.clear()
    find(name, "a.md", on_error=errors.append)
    assert "larger than" in str(errors[0])


@pytest.mark.parametrize("name", ["r.jsonl", "r.csv"])
def test_a_file_of_nothing_but_broken_rows_ends_soon(write: Write, find: Find, name: str) -> None:
    write(name, "a\n" + '{"a": 1}\n' * (name == "r.jsonl") + "x,y\n" * 500_000)
    errors: list[SourceError] = []
    found = find(name, on_error=errors.append)
    assert len(found) < 11_000
    assert "more than 10,000 rows can't be read" in str(errors[0])


def test_a_pipe_that_nobody_writes_to_is_refused(project: Path) -> None:
    os.mkfifo(project / "pipe")
    with pytest.raises(NotReadable, match="nobody writes"):
        read_pipe(str(project / "pipe"), 1000, patience=0.1)


def test_rows_that_are_written_while_they_are_read_come_to_an_end(
    write: Write, project: Path
) -> None:
    path = write("r.jsonl", '{"a": 1}\n')
    found = []
    for row in Rows(None, SETTINGS, None).of_file(str(path), "r.jsonl"):
        found.append(row)
        with path.open("a") as more:
            more.write('{"a": 1}\n' * 10_000)
    assert len(found) == 1


def test_short_rows_under_a_long_header_end_within_bounds(
    write: Write, find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = ",".join(f"{'column' * 9}-{number}" for number in range(900))
    write("r.csv", f"{header}\n" + "x\n" * 200)
    assert len(find("r.csv")) == 200
    monkeypatch.setattr("hypervisor.intake.sources.rows._MOST_ANYWAY", 1 << 20)
    with pytest.raises(SourceError, match="names of all 900 columns"):
        find("r.csv")
    write("r.csv", f"{header}\n" + (",x" * 899 + "\n") * 200)
    assert len(find("r.csv")) == 200


@pytest.mark.parametrize("name", ["r.csv", "r.jsonl"])
def test_rows_of_an_unresolved_merge_are_refused_with_the_line(
    name: str, write: Write, find: Find
) -> None:
    write(name, '{"a":1}\n<<<<<<< ours\n{"a":2}\n=======\n>>>>>>> theirs\n')
    with pytest.raises(SourceError, match=rf"{name}:2: a merge conflict begins here"):
        find(name)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[{"a":1},\n{"a":}]', 2),
        ('[{"a":1},\n{"a":2}\n', 3),
        ('[{"a":1}\n{"a":2}]', 2),
        ('[{"a":1},\n]', 2),
        ('[{"a":1}]\nx', 2),
        ('{"items": [{"a":1},\n{"a":}]}', 2),
        ('{"items": [{"a":1}],\n"x"}', 2),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_of_an_array_that_is_broken_anywhere_no_row_is_read(
    text: str, line: int, alone: bool, write: Write, find: Find
) -> None:
    write("r.json", text)
    with pytest.raises(SourceError, match=rf"^r\.json:{line}: not JSON"):
        find("r.json", files_are_items=alone)


def test_an_object_in_an_array_that_says_two_things_is_one_broken_row(
    write: Write, find: Find
) -> None:
    write("r.json", '[{"a":1,"a":2},\n{"a":NaN},\n{"a":1}]')
    assert [(one.line, one.problem is None) for one in find("r.json")] == [
        (1, False), (2, False), (3, True),
    ]  # fmt: skip


def test_the_rows_of_pages_are_rows_one_by_one(write: Write, find: Find) -> None:
    one, two = ({"number": number, "title": "t", "state": "OPEN"} for number in (1, 2))
    nodes = [{"data": {"issues": {"nodes": [row]}}} for row in (one, two)]
    for pages in ([[], [one], [two]], nodes):
        write("issues.json", json.dumps(pages))
        assert [found.row for found in find("issues.json")] == [one, two]
    talks = [{"messages": [{"role": "user", "content": "a"}]}]
    write("talks.json", json.dumps(talks))
    assert [found.row for found in find("talks.json")] == talks


@pytest.mark.parametrize(
    "header",
    [
        "Zusammenfassung,Vorgangsschlüssel,Status",
        "Schl,Status,Eingehend verknüpft (Blocks),Eingehend verknüpft (Blocks)",
    ],
)
def test_a_table_of_jira_in_another_language_is_refused_with_what_to_export(
    header: str, write: Write, find: Find
) -> None:
    write("jira.csv", f"{header}\nT,A-1,Offen,\n")
    with pytest.raises(SourceError) as refused:
        find("jira.csv")
    assert "English" in (refused.value.fix or "")
