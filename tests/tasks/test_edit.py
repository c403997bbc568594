from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hypervisor.system.errors import BrokenFile
from hypervisor.tasks import edit, markdown
from hypervisor.tasks.edit import EditRefused, InsertLine, PutSection, SetKey
from repository import REPO
from tasks.support import HEADER, document, insert_line, put_section, readable, set_key

REPORT = ["## Completion report", "", "- Result: done", "", "> all good"]


def changed(header: str, key: str, value: str | list[str], newline: str = "\n") -> str:
    """The header after an edit; everything else is checked to be as it was."""
    text = f"---\n{header}\n---\n\n# T\n\nstatus: text\n".replace("\n", newline)
    before = document(text)
    after = set_key(before, key, value).decode()
    tail = f"{newline}---{newline}{newline}# T{newline}{newline}status: text{newline}"
    assert after.startswith(f"---{newline}")
    assert after.endswith(tail)
    return after[3 + len(newline) : -len(tail)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("status: active", "status: done"),
        ("status:  active   # why", "status:  done   # why"),
        ("status : active", "status : done"),
        ('"status": active', '"status": done'),
        ("'status': 'active'", "'status': 'done'"),
        ('status: "active" # c', 'status: "done" # c'),
        ("status:", "status: done"),
        ("status: # c", "status: done # c"),
        ("status:   ", "status: done   "),
        ("status: ~", "status: done"),
        ("status: null", "status: done"),
        ("status: |\n  active\n  status: x\n\nid: a", "status: done\n\nid: a"),
        ("status: >-\n  active\nid: a", "status: done\nid: a"),
        ('status: "two\n  lines"\nid: a', 'status: "done"\nid: a'),
        ("status: two\n  lines # c\nid: a", "status: done # c\nid: a"),
        ("status: &s active\nid: a", "status: done\nid: a"),
        ("a: &s active\nstatus: *s # c", "a: &s active\nstatus: done # c"),
        ("a: |\n  status: x\nstatus: active", "a: |\n  status: x\nstatus: done"),
        ("a: {status: x}\nstatus: active", "a: {status: x}\nstatus: done"),
        ("{id: a, status: active}", "{id: a, status: done}"),
        ("? status\n: active", "? status\n: done"),
        ("  id: a\n  status: b", "  id: a\n  status: done"),
        ("id: a --- b\nstatus: active", "id: a --- b\nstatus: done"),
        ("id: [ x,  y ]\nstatus: active\nn: 0755", "id: [ x,  y ]\nstatus: done\nn: 0755"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_word_is_changed_in_place(before: str, after: str, newline: str) -> None:
    before, after = before.replace("\n", newline), after.replace("\n", newline)
    assert changed(before.replace("\r\n", "\n"), "status", "done", newline) == after


@pytest.mark.parametrize(
    ("header", "after"),
    [
        ("id: a", "id: a\nassignee: bot"),
        ("id: a # c", "id: a # c\nassignee: bot"),
        ("id: a\ntags:\n- x", "id: a\ntags:\n- x\nassignee: bot"),
        ("id: a\n# end", "id: a\nassignee: bot\n# end"),
        ("  id: a", "  id: a\n  assignee: bot"),
        ("id: a\nnote: |+\n  x\n", "id: a\nnote: |+\n  x\n\nassignee: bot"),
        ("id: a\nm:\n  note: |\n    x", "id: a\nm:\n  note: |\n    x\nassignee: bot"),
        ("id: &x a\nl:\n- *x", "id: &x a\nl:\n- *x\nassignee: bot"),
    ],
)
def test_a_new_key_is_added_after_the_last_one(header: str, after: str) -> None:
    assert changed(header, "assignee", "bot") == after


def test_a_key_is_added_to_an_empty_header() -> None:
    assert set_key(document("---\n---"), "status", "done") == b"---\nstatus: done\n---"


@pytest.mark.parametrize(
    ("header", "after"),
    [
        ("assignee: []", "assignee: [bot]"),
        ("assignee: [ a,\n  b ] # c", "assignee: [bot] # c"),
        ("assignee:\n  - a\n  - 'b'\nid: x", "assignee:\n  - bot\nid: x"),
        ("assignee:\n- a\nid: x", "assignee:\n- bot\nid: x"),
        ("assignee:", "assignee: [bot]"),
        ("id: x", "id: x\nassignee: [bot]"),
    ],
)
def test_a_list_is_changed_in_its_own_form(header: str, after: str) -> None:
    assert changed(header, "assignee", ["bot"]) == after


def test_a_list_of_several_words_is_written_and_read_back() -> None:
    words = ["a, b", "@x", "yes", "c]", "Won't Do", "1"]
    for header in ("tags: [x]", "tags:\n  - x", "id: x"):
        text = f"---\n{changed(header, 'tags', words)}\n---\n"
        assert document(text).meta["tags"] == words  # type: ignore[index]


@pytest.mark.parametrize(
    ("header", "key", "value"),
    [
        ("tags: [a]", "tags", "word"),
        ("tags: {a: b}", "tags", "word"),
        ("status: active", "status", ["a"]),
        ("status: &s active\nother: *s", "status", "done"),
        ("{id: a}", "status", "done"),
        ("tags:\n- a # why\n- b", "tags", ["x"]),
        ("tags:\n- a: b\n- c", "tags", ["x"]),
        ("tags:\n- &a b\n- c\nd: *a", "tags", ["x"]),
    ],
)
def test_an_edit_that_would_touch_more_is_refused(
    header: str, key: str, value: str | list[str]
) -> None:
    with pytest.raises(EditRefused):
        set_key(document(f"---\n{header}\n---\n"), key, value)


@pytest.mark.parametrize("bad", ["done\nnew: key", "done # swallowed", "- x", "done\n---\n", "@x"])
def test_what_does_not_come_out_as_meant_is_refused(
    monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    monkeypatch.setattr(edit, "written", lambda value, style=None: bad)
    with pytest.raises(EditRefused):
        set_key(document("---\nstatus: a\nid: x\n---\n"), "status", "wanted")


def test_a_note_without_front_matter_gets_no_key() -> None:
    with pytest.raises(EditRefused, match="no front matter"):
        set_key(document("# Note\n"), "status", "done")


AWKWARD = [
    *("Won't Do", "@x", "yes", "No", "null", "~", "1.10", "0755", "2026-02-01", "a: b", "a #b"),
    *("- a", "[x]", "{x}", "*a", "&a", "!a", "|", ">", "%a", "`a`", "'", '"', "\\", "", " ", "a "),
    *(
        "a\nb",
        "a\tb",
        "\u0085",
        "\u2028",
        "\ufeff",
        "\U0001f600",
        "é",
        "---",
        "...",
        "?",
        "=",
        "<<",
    ),
    *("a, b", "]", "y", "true", "1e3", "0x1", "12:30:45", "...", "a:", ":a", "#", "\x7f", "\x07"),
]


@settings(max_examples=settings.default.max_examples * 2)
@given(
    st.sampled_from(["{}", "'{}'", '"{}"', "{} # c", ""]),
    st.one_of(st.sampled_from(AWKWARD), st.text(st.characters(codec="utf-8"), max_size=12)),
)
def test_any_value_reads_back_as_the_same_string(form: str, value: str) -> None:
    before = document(f"---\nid: a\nstatus: {form.format('old')}\nz: 1\n---\n")
    try:
        after = document(set_key(before, "status", value))
    except EditRefused:
        assert "\0" in value
        return
    assert after.meta == {"id": "a", "status": value, "z": 1}


def test_the_same_value_again_changes_no_byte() -> None:
    for header in ('status: "done"', "status: done", "status: 2026-01-01"):
        before = document(f"---\n{header}\n---\n")
        word = before.raw_text("status")
        assert word is not None
        assert set_key(before, "status", word) == before.raw


# --- properties over generated files ---

VALUES = st.sampled_from(
    [
        *("active", "'it''s' # c", '"a: b\\n"', "[ x,  y ]", "{a: 1, status: z}", "0755", "1.10"),
        *("2026-01-20T10:00:00Z", "", "~", "|\n  status: x\n\n  --- y", ">-\n  a\n  b", "*anchor"),
        *(
            "two\n  lines",
            '"two\n\n  lines"',
            "\n- a\n- b: c",
            "\n  - a # c",
            "a --- b",
            "é\u2028x",
        ),
        *("|+\n  keep\n\n", "\n  nested:\n    status: x", "\U0001f600", "[a,\n  b]", "x   "),
    ]
)
KEYS = ["status", "assignee", '"quoted key"', "tags ", "due", "x-y", "'note'", "long_key"]
BODY_PIECES = st.sampled_from(
    [
        *("\n", "# Title\n", "Text here\n", "Two\n===\n", "```\n# no\n", "```\n", "- [ ] box\n"),
        *("- a\n", "  - [x] b\n", "> q\n", "<!-- c\n", "-->\n", "    code\n", "~~~~\n", "<div>\n"),
        *("no newline", "| a |\n|---|\n", "***\n", "status: x\n", "  \n", "1. x\n\n       y\n"),
    ]
)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    keys = draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=6))
    lines = ["anchor: &anchor here"]
    for key in keys:
        if draw(st.booleans()):
            lines.append(draw(st.sampled_from(["# comment", "", "# status: no"])))
        value = draw(VALUES)
        lines.append(f"{key}:{value}" if value.startswith("\n") else f"{key}: {value}")
    body = "".join(draw(st.lists(BODY_PIECES, max_size=8)))
    text = "---\n" + "\n".join(lines) + "\n---" + (f"\n{body}" if body else "")
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return (draw(st.sampled_from(["", "\ufeff"])) + text).encode()


def common(before: bytes, after: bytes) -> tuple[int, int]:
    """How many bytes at the start and at the end of two files are the same, without overlap."""
    limit = min(len(before), len(after))
    head = next((n for n in range(limit) if before[n] != after[n]), limit)
    tail = next((n for n in range(limit - head) if before[-1 - n] != after[-1 - n]), limit - head)
    return head, tail


@settings(max_examples=settings.default.max_examples * 3)
@given(files(), st.sampled_from(["status", "assignee", "tags", "new"]))
def test_an_edit_of_a_key_changes_only_its_own_bytes(raw: bytes, key: str) -> None:
    before = read_or_assume(raw)
    try:
        after = set_key(before, key, "Won't: do")
    except EditRefused:
        return
    found = document(after)
    assert found.meta is not None
    assert before.meta is not None
    assert found.meta == {**before.meta, key: "Won't: do"}
    assert list(found.meta)[: len(before.meta)] == list(before.meta)
    assert found.body == before.body
    head, tail = common(before.raw, after)
    # What went is at most the old value, what came at most one line.
    gone = before.raw[head : len(before.raw) - tail].decode("utf-8", "ignore")
    came = after[head : len(after) - tail].decode("utf-8", "ignore")
    assert "\n" not in came.strip("\r\n")
    if key not in before.meta:
        assert gone == ""
    lines = before.key_lines
    if key in lines and gone:
        first = before.raw.count(b"\n", 0, head) + 1
        later = [line for line in lines.values() if line > lines[key]]
        assert lines[key] <= first < min(later, default=before.line_at(before.body_start))


@settings(max_examples=settings.default.max_examples * 3)
@given(files())
def test_a_line_and_a_report_keep_every_byte_of_the_file(raw: bytes) -> None:
    before = read_or_assume(raw)
    try:
        linked = insert_line(before, "Project: [[x]]")
    except EditRefused:
        linked = before.raw
    else:
        head, tail = common(before.raw, linked)
        assert head + tail == len(before.raw)
        assert b"Project: [[x]]" in linked
    after = put_section(before, "1-ab", REPORT)
    head, tail = common(before.raw, after)
    assert head + tail == len(before.raw)
    found = document(after)
    [span] = markdown.own_sections(found.body)
    assert "> all good" in found.body[slice(*span)]
    assert [one.title for one in markdown.headings(found.body)][-1:] == ["Completion report"] or (
        markdown.scan(before.body).unclosed is not None
    )
    assert put_section(found, "1-ab", REPORT) == after
    again = document(put_section(found, "2-cd", ["## Blocked", "", "> no"]))
    assert len(markdown.own_sections(again.body)) == 1
    assert markdown.without_own_section(again.body) == markdown.without_own_section(found.body)


def read_or_assume(raw: bytes) -> edit.Document:
    try:
        return document(raw)
    except BrokenFile:
        assume(False)
        raise


def test_every_edit_keeps_every_other_byte_of_real_files(backlog_md: Path) -> None:
    edits = [SetKey("status", "Done!"), InsertLine("Project: [[x]]"), PutSection("1-ab", REPORT)]
    for before in readable(backlog_md):
        if before.meta is None:
            continue
        found = document(edit.edit(before, edits).after)
        assert found.meta == {**before.meta, "status": "Done!"}
        line = f"{before.newline}Project: [[x]]{before.newline}"
        text = markdown.without_own_section(found.body).replace(line, "", 1)
        assert text.split() == before.body.split()
        old = before.text[: before.body_start].splitlines(keepends=True)
        new = found.text[: found.body_start].splitlines(keepends=True)
        different = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
        assert [a.split(":")[0] for a, _ in different] == ["status"]


# --- lines ---


@pytest.mark.parametrize(
    ("body", "after"),
    [
        ("\n# T\n\nText\n", "\n# T\n\nProject: [[x]]\n\nText\n"),
        ("# T\nText\n", "# T\n\nProject: [[x]]\n\nText\n"),
        ("# T", "# T\n\nProject: [[x]]\n"),
        ("T\n===\nText\n", "T\n===\n\nProject: [[x]]\n\nText\n"),
        ("\nText\n", "\nProject: [[x]]\n\nText\n"),
        ("Text\n", "\nProject: [[x]]\n\nText\n"),
        ("", "\nProject: [[x]]\n"),
        ("\n## Two\n", "\nProject: [[x]]\n\n## Two\n"),
        (
            "\n```bash\n# install\n```\n\n# T\n",
            "\n```bash\n# install\n```\n\n# T\n\nProject: [[x]]\n",
        ),
        ("\n```bash\n# install\n```\n", "\nProject: [[x]]\n\n```bash\n# install\n```\n"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_line_goes_after_the_first_h1_or_before_the_body(
    body: str, after: str, newline: str
) -> None:
    got = insert_line(document((HEADER + body).replace("\n", newline)), "Project: [[x]]")
    assert got.decode() == (HEADER + after).replace("\n", newline)


@pytest.mark.parametrize("line", ["a\nb", "", "  ", "<!-- hypervisor:report 1-ab -->", "# New"])
def test_a_line_that_is_more_than_a_line_is_refused_or_harmless(line: str) -> None:
    before = document(HEADER + "\n# T\n\nText\n")
    try:
        after = document(insert_line(before, line))
    except EditRefused:
        return
    assert markdown.own_sections(after.body) == []
    assert [one.title for one in markdown.headings(after.body)] == ["T"]


# --- reports ---


def test_a_report_goes_to_the_end() -> None:
    after = put_section(document(HEADER + "\n# T\n\nText"), "1-ab", REPORT).decode()
    section = "\n".join(REPORT)
    assert after == (
        f"{HEADER}\n# T\n\nText\n\n<!-- hypervisor:report 1-ab -->\n{section}\n\n"
        "<!-- /hypervisor:report -->\n"
    )


@pytest.mark.parametrize("opening", ["```\nx\n", "~~~~ md\nx", "<!-- todo\nx\n", "<pre>\n"])
def test_a_report_goes_before_a_fence_or_comment_that_never_ends(opening: str) -> None:
    before = document(f"{HEADER}\n# T\n\nText\n\n{opening}")
    after = document(put_section(before, "1-ab", REPORT))
    assert after.body.endswith("\n\n" + opening)
    assert markdown.own_sections(after.body)
    assert put_section(after, "1-ab", REPORT) == after.raw


def test_a_marker_in_a_fence_is_not_our_section() -> None:
    body = "```\n<!-- hypervisor:report 1-ab -->\n## Blocked\n\n<!-- /hypervisor:report -->\n```\n"
    after = document(put_section(document(HEADER + body), "1-ab", REPORT))
    assert after.body.startswith(body + "\n")


def test_a_section_that_was_moved_is_replaced_where_it_stands() -> None:
    first = put_section(document(HEADER + "\nText\n"), "1-ab", REPORT).decode()
    second = put_section(document(first + "\nMore\n"), "2-cd", ["## Blocked", "> x"]).decode()
    assert "2-cd" in second
    assert "1-ab" not in second
    assert second.endswith("\nMore\n")


@pytest.mark.parametrize(
    "line",
    [
        "<!-- /hypervisor:report -->",
        "> <!-- /hypervisor:report -->",
        "<!--   hypervisor:report 9-zz -->",
        "a\0b",
        "two\n<!-- /hypervisor:report -->\nlines",
        "\ud800",
        "```",
        "<!-- never closed",
        "<pre>",
    ],
)
def test_no_line_of_a_report_can_end_our_section(line: str) -> None:
    before = document(HEADER + "\nText\n")
    try:
        after = document(put_section(before, "1-ab", [*REPORT, "", line]))
    except EditRefused:
        return
    assert len(markdown.own_sections(after.body)) == 1
    assert markdown.without_own_section(after.body) == "\nText\n\n"


@pytest.mark.parametrize("token", ["", "a b", "-->", "x\n", "é"])
def test_an_odd_token_is_refused(token: str) -> None:
    with pytest.raises(EditRefused):
        put_section(document(HEADER), token, REPORT)


def test_edits_name_what_they_changed() -> None:
    edited = edit.edit(
        document(HEADER + "\n# T\n"),
        [SetKey("status", "done"), SetKey("title", "A task"), SetKey("assignee", ["a", "b"])],
    )
    assert edited.changes == ("status->done", "assignee->a, b")
    assert edited.before == document(HEADER + "\n# T\n").raw


_PARTS = [
    "# A", "text", "", "- [ ] a", "  - b", "    code", "> q", "1. n", "===", "* * *", "`a`", "&lt;",
    "[x]: y", "\t[ ] z", "   ", "**b**", "``", "~~s~~", "<br>", "```", "~~~", "<!-- c -->",
]  # fmt: skip
_LINES = ["- Worker: ```", "> ```", "> <!-- x", "**Note**", "", ">", "- <div>", "> - [ ] x", "odd"]


@given(
    body=st.lists(st.sampled_from(_PARTS), max_size=7).map("\n".join),
    ending=st.sampled_from(["", "\n", "\n\n"]),
    more=st.lists(st.sampled_from(_LINES), max_size=4),
)
@settings(max_examples=settings.default.max_examples * 6)
def test_a_section_proven_by_plain_words_is_what_a_look_at_the_whole_text_proves(
    body: str, ending: str, more: list[str]
) -> None:
    before = document(HEADER + body + ending)
    lines = [*REPORT, *more]
    is_plain = markdown.is_closed(before.body) and markdown.opens_nothing(lines)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(markdown, "is_closed", lambda body: False)
            looked = put_section(before, "1-abcd", lines)
    except EditRefused:
        assert not is_plain
        return
    assert put_section(before, "1-abcd", lines) == looked


def test_a_report_on_a_plain_task_is_written_without_a_library(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text(f"{HEADER}# T\n\n- [x] a box\n\nText.\n")
    child = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from hypervisor.tasks import edit, read\n"
        "found = read.read(sys.argv[2])\n"
        "edits = [edit.PutSection('1-a', ['## Completion report', '', '> did it'])]\n"
        "after = edit.edit(found, [*edits, edit.SetKey('status', 'done')]).after\n"
        "assert after.startswith(found.raw[:20]) and b'status: done' in after\n"
        "print(*sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", child, REPO / "src", path],
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {"yaml", "frontmatter", "re", "typing", "dataclasses", "enum", "functools", "json"}
    assert not heavy & set(ran.stdout.split())
