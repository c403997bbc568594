from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.tasks import markdown
from tasks.support import oracle, readable

# No `]:` in them: where a link definition ends, markdown-it-py and CommonMark differ.
PIECES = [
    *("- ", "* ", "1. ", "2) ", "10. x", "+", "-", " ", "  ", "   ", "    ", "\t", "> ", ">"),
    *("# ", "## ", "###", "#", "```", "~~~", "````", "```py", "===", "---", "***", "=", "`", "`a`"),
    *("- [ ] ", "[x] ", "- [X] y", "text", "a", "word", "\n", "\n", "\t\n", "\n\n", "\r\n", "\r"),
    *("<!--", "-->", "<!-- c -->", "<div>", "</div>", "<pre>", "</pre>", "<b>", '<x y="z">', "<?"),
    *("?>", "&", "|", "\\", "_", "**b** c", "1", "\u00e9", "a\u00a0", "[a](b)"),
]


def ours(body: str) -> tuple[list[tuple[int, int, str]], list[tuple[int, bool, str]]]:
    return (
        [(one.level, one.line, " ".join(one.title.split())) for one in markdown.headings(body)],
        [(one.line, one.checked, " ".join(one.text.split())) for one in markdown.boxes(body)],
    )


@settings(max_examples=settings.default.max_examples * 15)
@given(st.lists(st.sampled_from(PIECES), max_size=16).map("".join))
def test_headings_and_boxes_are_those_of_a_full_parser(body: str) -> None:
    assert ours(body) == oracle(body)


def test_headings_and_boxes_of_real_files_are_those_of_a_full_parser(backlog_md: Path) -> None:
    for document in readable(backlog_md):
        assert ours(document.body) == oracle(document.body), document.path


@settings(max_examples=settings.default.max_examples * 3)
@given(st.lists(st.sampled_from(PIECES), max_size=16).map("".join))
def test_offsets_name_the_place(body: str) -> None:
    for heading in markdown.headings(body):
        assert body[heading.end - 1 : heading.end] in ("\n", "\r") or heading.end == len(body)
        assert heading.offset == 0 or body[heading.offset - 1] in "\n\r"
    for box in markdown.boxes(body):
        assert body[box.offset] == "["
        assert body[box.offset + 1] in " xX"


@pytest.mark.parametrize(
    "hiding",
    [
        "```\n{}\n```\n",
        "~~~ md\n{}\n~~~~\n",
        "`````\n```\n{}\n```\n`````\n",
        "```\n{}\n",
        "<!--\n{}\n-->\n",
        "<pre>\n{}\n</pre>\n",
        "- a\n\n  ```\n  {}\n  ```\n",
    ],
)
def test_headings_and_boxes_in_code_and_comments_are_text(hiding: str) -> None:
    for line in ("## Close Reason", "- [ ] x", "# install"):
        body = "Text.\n\n" + hiding.format(line)
        assert ours(body) == ([], []), body


@pytest.mark.parametrize("end", ["```\t", "``` \t ", "````\t"])
@pytest.mark.parametrize("body", ["```\n- [ ] x\n{}\n- [ ] y\n", "- a\n  ```\n  {}\n\n- [ ] y\n"])
def test_tabs_may_stand_behind_the_end_of_code(body: str, end: str) -> None:
    assert ours(body.format(end)) == ([], [(4 if "x" in body else 5, False, "y")])


def test_indented_code_is_text_and_a_nested_list_entry_is_not() -> None:
    assert ours("Text.\n\n    ## Closed\n    - [ ] x\n") == ([], [])
    assert ours("- a\n    - [ ] nested\n        - [x] deeper\n")[1] == [
        (2, False, "nested"),
        (3, True, "deeper"),
    ]


def test_a_quoted_heading_is_not_the_documents_own() -> None:
    assert ours("> ## Closed\n> - [ ] x\n") == ([], [])


def test_a_title_is_its_text_without_closing_marks() -> None:
    titles = [one.title for one in markdown.headings("## Closed ##\n\n# a #b\n\nTwo\nlines\n===\n")]
    assert titles == ["Closed", "a #b", "Two\nlines"]


def test_prose_has_no_code_comments_quotes_or_report_of_ours() -> None:
    body = (
        "Keep one.\n\n```\nhidden\n```\n\n    hidden\n\n> hidden\nhidden too\n\n<!-- hidden\n-->\n"
        "Keep <!-- hidden --> two.\n\n- keep\n\n      hidden\n\n"
        "<!-- hypervisor:report 1-ab -->\n## Completion report\n\nhidden\n\n"
        "<!-- /hypervisor:report -->\n\nKeep three `<!--` and four.\n"
    )
    prose = markdown.prose(body)
    assert "hidden" not in prose
    for word in ("one", "two", "keep", "three", "four"):
        assert word in prose


SECTION = "<!-- hypervisor:report 1-ab -->\n## Blocked\n\n> x\n\n<!-- /hypervisor:report -->\n"


def test_our_own_section_is_found_and_left_out() -> None:
    body = f"a\n\n{SECTION}\nb\n"
    [span] = markdown.own_sections(body)
    assert body[slice(*span)] == SECTION
    assert markdown.without_own_section(body) == "a\n\n\nb\n"


@pytest.mark.parametrize(
    "body",
    [
        f"```\n{SECTION}```\n",
        "\n".join(f"    {line}" for line in SECTION.split("\n")),
        "\n".join(f"> {line}" for line in SECTION.split("\n")),
        SECTION.replace("## Blocked\n", ""),
        SECTION.replace("\n## Blocked", "Text\n## Blocked"),
        SECTION.replace("<!-- /hypervisor:report -->", "see `<!-- /hypervisor:report -->`"),
        f"<!--\n{SECTION}",
    ],
)
def test_what_only_looks_like_our_section_is_not(body: str) -> None:
    assert markdown.own_sections(body) == []


@pytest.mark.parametrize(
    "body",
    [
        "> a\n" + "\n" * 50_000,
        "text\n" + "".join(f"{n % 10}. x\n" for n in range(20_000)),
        "\n\n" + "    indented\n" * 20_000,
        "<!-- " * 20_000,
        "[" * 20_000 + "\n===\n",
        ("a <!-- b\n\n" * 10_000),
    ],
)
def test_a_long_odd_body_ends(body: str) -> None:
    markdown.prose(body)
