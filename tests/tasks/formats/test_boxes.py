"""The check boxes of a file, with what stands around each."""

from __future__ import annotations

from hypervisor.tasks.formats.boxes import boxes, paths


def test_the_mark_of_a_box_is_where_it_says() -> None:
    text = "\ufeff# T\r\n\r\n- [ ] a\r\n  - [x] b é\r\n\t* [ ] c\r\n"
    for box in boxes(text):
        assert text[box.at - 1 : box.at + 2] == f"[{box.mark}]"


def test_an_entry_has_its_own_lines_and_not_those_of_the_boxes_in_it() -> None:
    text = "- [ ] a\n  why\n\n  - plain\n  - [ ] b\n    how\n- [ ] c\n\nafter\n"
    assert [box.whole for box in boxes(text)] == [
        "- [ ] a\n  why\n\n  - plain",
        "  - [ ] b\n    how",
        "- [ ] c",
    ]


def test_a_box_knows_the_headings_above_it() -> None:
    text = "# A\n- [ ] a\n## B\n### C\n- [ ] b\n## D\n- [ ] c\n"
    under = [[head.title for head in box.under] for box in boxes(text)]
    assert under == [["A"], ["A", "B", "C"], ["A", "D"]]


def test_the_files_of_a_text_have_an_ending_and_a_slash_or_the_quotes_of_code() -> None:
    text = (
        "in src/a.py and `b.ts`, not and/or, Node.js, https://x.org/a.html, ../up/c.py or /e/d.py"
    )
    assert paths(text) == ("src/a.py", "b.ts")
