from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import frontmatter
import pytest

from hypervisor.system.errors import BrokenFile
from hypervisor.system.reading import MIB, NotReadable, open_file, read_descriptor
from hypervisor.tasks.header import TaskHandler
from hypervisor.tasks.read import read
from tasks.support import HEADER, document, readable


def broken(text: str | bytes) -> BrokenFile:
    with pytest.raises(BrokenFile) as caught:
        document(text)
    return caught.value


def header_of(*lines: str) -> str:
    return "---\n" + "".join(f"{line}\n" for line in lines) + "---\n\n# Body\n"


@pytest.mark.parametrize(
    ("line", "mended"),
    [
        ("title: Fix bug: parser", "title: 'Fix bug: parser'"),
        ("title: [Learn] Hook router: silent failure", "'[Learn] Hook router: silent failure'"),
        ("assignee: @MrLesk", "assignee: '@MrLesk'"),
        ("title: it's `x`: done", "title: 'it''s `x`: done'"),
        ("title: %x", "title: '%x'"),
        ('title: "a" and b', "quote the value"),
        ('title: "a', 'title: "a"'),
        ("tags: [a, b", "tags: [a, b]"),
        ("status:done", "status: 'done'"),
        ("\ttitle: x", "not with a tab"),
    ],
)
def test_a_line_that_is_not_yaml_is_reported_with_its_line_and_mend(line: str, mended: str) -> None:
    error = broken(header_of("id: a-1", "type: task", line, "priority: 2"))
    assert error.line == 4
    assert "not YAML" in error.what
    assert mended in error.fix


def test_a_mended_line_is_readable() -> None:
    fix = broken(header_of("id: a-1", "title: It's bug: parser")).fix
    mended = fix.split(": ", 1)[1]
    assert document(header_of("id: a-1", mended)).raw_text("title") == "It's bug: parser"


def test_a_line_number_counts_through_crlf_and_odd_line_ends() -> None:
    text = header_of("id: a\x85 b", "title: 'x'", "tags: @x")
    assert broken(text).line == 4
    assert broken(text.replace("\n", "\r\n")).line == 4


def test_a_duplicate_key_names_both_lines() -> None:
    error = broken(header_of("status: active", "id: x", "status: done"))
    assert error.line == 4
    assert "lines 2 and 4" in error.what


def test_a_duplicate_key_is_seen_inside_other_values_and_in_other_quotes() -> None:
    assert "lines 3 and 5" in broken(header_of("a:", "  b: 1", "  c: 2", "  b: 3")).what
    assert "twice" in broken(header_of("a: {b: 1, b: 2}")).what
    assert "twice" in broken(header_of("status: x", "'status': y")).what


@pytest.mark.parametrize("between", ["", "\n", "\n\n  \n"])
def test_two_front_matters_are_reported(between: str) -> None:
    first = "---\ncomplexity: x\nassignee: nic\n---\n"
    error = broken(f"{first}{between}---\nid: a\ntitle: Fix bug: parser\n---\nbody\n")
    assert "second front matter" in error.what
    assert error.line == 5 + between.count("\n")


def test_a_repeated_key_alone_tells_a_second_front_matter() -> None:
    assert "second" in broken("---\nstatus: done\n---\n---\nstatus: active\n---\n").what


@pytest.mark.parametrize(
    "body",
    [
        "---\n\nText between rules.\n\n---\n",
        "\n---\nNote: this is prose\n---\n",
        "---\n",
        "\n---\n# Title\nstatus of things is fine\n---\n",
        "text\n---\nid: a\ntitle: b\n---\n",
    ],
)
def test_a_rule_line_in_the_body_is_no_second_front_matter(body: str) -> None:
    assert document(HEADER + body).body == body


def test_a_front_matter_after_blank_lines_is_read() -> None:
    for header in ("id: a\ntitle: b\n", "id: a\ntitle: >\n  b\n"):
        found = document(f"\n \n---\n{header}---\nBody\n")
        assert (found.late, found.value("id"), found.body) == (True, "a", "Body\n")
        assert found.key_lines == {"id": 4, "title": 5}


def test_an_unclosed_header_is_reported() -> None:
    assert "never closed" in broken("---\nid: a\ntitle: b\n\n# Body\n").what
    assert "never closed" in broken("---\nid: a\n...\n# Body\n").what


def test_a_document_end_inside_the_header_is_reported() -> None:
    assert broken("---\nid: a\n...\n---\n").line == 3


@pytest.mark.parametrize("header", ["- a\n- b\n", "just text\n", "'quoted'\n"])
def test_a_header_that_is_no_mapping_is_reported(header: str) -> None:
    assert "not keys with values" in broken(f"---\n{header}---\n").what


def test_a_file_that_is_not_utf_8_names_the_line_of_the_first_bad_byte() -> None:
    error = broken(HEADER.encode() + "Caf\u00e9\n".encode("latin-1"))
    assert error.line == 6
    assert "0xE9" in error.what
    assert "UTF-8" in broken(HEADER.encode("utf-16")).what


def test_a_nul_byte_is_reported_with_its_line() -> None:
    assert broken(HEADER + "a\0b").line == 6


def test_old_line_ends_are_reported() -> None:
    assert "carriage returns" in broken("---\rid: x\r---\r").what


@pytest.mark.parametrize(
    "value",
    ["[" * 100_000, "\n" + "- " * 50_000, "\n" + "\n".join(" " * n + "a:" for n in range(1, 400))],
)
def test_deep_nesting_is_reported_and_does_not_end_the_process(value: str) -> None:
    assert "deep" in broken(f"---\nx: {value}\n---\n").what


def test_aliases_neither_loop_nor_explode() -> None:
    assert "holds itself" in broken(header_of("a: &x [*x]")).what
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    bomb = broken(header_of(*lines))
    assert "more than 20,000 values" in bomb.what and bomb.line == 6
    shared = document(header_of("a: &a [x, y]", "b: [*a, *a]", "c: {d: *a}"))
    assert shared.meta == {"a": ["x", "y"], "b": [["x", "y"]] * 2, "c": {"d": ["x", "y"]}}


def test_aliases_that_nest_too_deep_are_told() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 200))]
    assert "nested too deep" in broken(header_of(*lines)).what
    lines = ["a0: &a0 {k: x}", *(f"a{n}: &a{n} {{k: *a{n - 1}}}" for n in range(1, 200))]
    assert "nested too deep" in broken(header_of(*lines)).what


@pytest.mark.parametrize(
    "line",
    [
        "<<: &m {a: 1, <<: *m}",
        "a: &m {b: 1, <<: *m}",
        "a: &m {b: {c: {<<: *m}}}",
        "<<: &m {a: 1, <<: [*m, *m]}",
    ],
)
def test_a_mapping_that_merges_itself_is_told(line: str) -> None:
    assert "itself" in broken(header_of(line)).what


def test_merges_of_merges_are_counted_too() -> None:
    lines = ["m0: &m0 {x: 1}"]
    lines += [f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}" for n in range(1, 30)]
    assert "more than 20,000 values" in broken(header_of(*lines)).what
    merged = document(header_of("m: &m {x: 1, y: 2}", "n: {<<: *m, y: 3}"))
    assert merged.meta == {"m": {"x": 1, "y": 2}, "n": {"y": 3, "x": 1}}


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ("a: " + "[" * 100_000, "nested too deep"),
        ("- " * 100_000 + "a", "nested too deep"),
        ("a: [" + "x," * 30_000 + "x]", "more than 20,000 values"),
        ("\n".join(f"k{n}: {n}" for n in range(30_000)), "more than 20,000 values"),
        ("a: '" + "x" * (1 << 20) + "'", "larger than 1 MiB"),
        ("a: [x\nb: " + "y" * 500_000 + ": z", "not YAML"),
    ],
)
def test_a_header_without_end_is_told_soon(header: str, what: str) -> None:
    began = time.process_time()
    assert what in broken(f"---\n{header}\n---\nbody\n").what
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "value", ["9" * 5_000, "1" + ":59" * 100_000, "0x" + "f" * 5_000, "1." + "0" * 5_000]
)
def test_a_number_that_is_too_long_to_be_one_is_text(value: str) -> None:
    began = time.process_time()
    assert document(header_of(f"a: {value}")).meta == {"a": value}
    assert time.process_time() - began < 1


@pytest.mark.parametrize("tag", ["!!seq", "!!map", "!!set", "!!omap", "!!python/none", "!x"])
def test_a_tag_that_makes_no_plain_value_is_told(tag: str) -> None:
    assert "unknown YAML tag" in broken(header_of(f"a: {tag} x")).what


def test_a_key_of_any_length_is_read_or_told() -> None:
    assert broken(header_of("k" * 5_000 + ": x")).line == 2
    quoted = document(header_of(f"? {'k' * 5_000}\n: x"))
    assert quoted.meta == {"k" * 5_000: "x"}


def test_a_file_with_lines_without_end_is_told_with_the_line() -> None:
    error = broken("---\nid: x\n---\n" + "- \n" * 100_000)
    assert (error.line, error.what) == (100_001, "more than 100,000 lines")


def test_a_file_that_grows_while_it_is_read_ends_at_the_bound(tmp_path: Path) -> None:
    path = tmp_path / "growing.md"
    path.write_bytes(b"x" * 1000)
    descriptor, status = open_file(str(path))
    with open(path, "ab") as more:
        more.truncate(200 * MIB)
    try:
        with pytest.raises(NotReadable, match="larger than 8 MiB"):
            read_descriptor(descriptor, status.st_size, 8 * MIB)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "link", "large"])
def test_what_is_no_file_or_too_large_is_told_and_never_waited_for(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "x.md"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "large":
        path.touch()
        os.truncate(path, 100 * MIB)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to(tmp_path / "pipe")
    with pytest.raises(BrokenFile) as error:
        read(str(path))
    wanted = "larger than 8 MiB" if kind == "large" else "not a regular file"
    assert error.value.what == wanted


def test_an_unknown_tag_is_reported() -> None:
    assert "tag" in broken(header_of("a: !!python/object:os.system x")).what


def test_a_byte_order_mark_is_read_through_and_kept() -> None:
    found = document("\ufeff" + HEADER + "body")
    assert found.bom
    assert found.raw_text("id") == "aops-1a2b3c4d"
    assert found.raw.startswith(b"\xef\xbb\xbf")


def test_three_dashes_inside_a_value_are_no_delimiter() -> None:
    found = document("---\ntitle: a --- b\nnote: |\n  ---\nid: x\n---\nbody --- here\n")
    assert found.raw_text("title") == "a --- b"
    assert found.body == "body --- here\n"


def test_a_file_without_front_matter_has_no_meta() -> None:
    for text in ("# Note\n", "", "----\nid: x\n----\n", "--- x\n", "text\n---\nid: x\n---\n"):
        assert document(text).meta is None
        assert document(text).body == text


def test_an_empty_header_has_no_keys() -> None:
    assert document("---\n---\nbody").meta == {}
    assert document("---\n# only a comment\n---").meta == {}


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("20260119", "20260119"),
        ("1.10", "1.10"),
        ("01", "01"),
        ("2026-02-01", "2026-02-01"),
        ("yes", "yes"),
        ("1e3", "1e3"),
        ("'01'", "01"),
        ("12:30", "12:30"),
        ("0x1F", "0x1F"),
    ],
)
def test_a_scalar_keeps_its_text(written: str, text: str) -> None:
    assert document(header_of(f"id: {written}")).raw_text("id") == text


def test_null_is_no_text_and_lists_keep_theirs() -> None:
    found = document(header_of("a: null", "b:", "c: ~", "d: [01, yes, null, [[x|y]], {k: v}]"))
    assert [found.raw_text(key) for key in "abcd"] == [None] * 4
    assert found.raw_list("d") == ["01", "yes", "x|y"]
    assert found.raw_list("a") is None


def test_a_date_that_does_not_exist_stays_text() -> None:
    meta = document(header_of("due: 2026-02-31", "made: 2026-13-01T10:00:00Z")).meta
    assert meta == {"due": "2026-02-31", "made": "2026-13-01T10:00:00Z"}


def test_keys_know_their_lines() -> None:
    lines = ["id: \u00e9\U0001f600", "title: |", "  a", "  b", '"status": x', "tags:", "- a"]
    for newline in ("\n", "\r\n"):
        found = document(("\ufeff" + header_of(*lines)).replace("\n", newline))
        assert found.key_lines == {"id": 2, "title": 3, "status": 6, "tags": 7}


def test_merged_keys_count_and_own_keys_win() -> None:
    found = document(header_of("base: &b {status: done, id: x}", "<<: *b", "id: y"))
    assert found.meta is not None
    assert (found.meta["status"], found.meta["id"]) == ("done", "y")


def test_what_python_frontmatter_reads_with_our_handler_is_what_we_read(backlog_md: Path) -> None:
    for found in readable(backlog_md):
        post = frontmatter.loads(found.text, handler=TaskHandler(found.text))
        if found.meta is not None:
            assert post.metadata == found.meta
            assert post.content == found.body.strip()
            plain = frontmatter.loads(found.text)
            assert plain.metadata == found.meta
            assert plain.content == found.body.replace("\r\n", "\n").strip()


def test_a_header_that_is_not_plain_is_read_by_python_frontmatter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    parsed = frontmatter.parse

    def parse_and_note(text: str, **given: Any) -> Any:
        asked.append(text)
        return parsed(text, **given)

    monkeypatch.setattr(frontmatter, "parse", parse_and_note)
    assert document(HEADER).meta and asked == []
    text = HEADER.replace("status:", "odd: {a: [1, 2]}\nstatus:")
    found = document(text)
    assert asked == [text] and found.meta and found.meta["odd"] == {"a": [1, 2]}


def test_every_broken_file_names_its_line(backlog_md: Path) -> None:
    broken_files = 0
    for path in backlog_md.rglob("*.md"):
        try:
            read(str(path))
        except BrokenFile as error:
            broken_files += 1
            assert error.line is not None
            blamed = path.read_text().split("\n")[error.line - 1]
            assert "@" in blamed
            assert error.fix.startswith("quote")
    assert broken_files


def test_a_pipe_named_like_a_task_does_not_block(tmp_path: Path) -> None:
    pipe = tmp_path / "x.md"
    os.mkfifo(pipe)
    with pytest.raises(BrokenFile, match="not a regular file"):
        read(str(pipe))


def test_the_identity_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    path.write_text(HEADER)
    first = read(str(path)).identity
    assert (first.size, first.inode) == (path.stat().st_size, path.stat().st_ino)
    path.write_text(HEADER + "more")
    assert read(str(path)).identity != first
