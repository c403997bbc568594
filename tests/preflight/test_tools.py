"""The quick look for a pattern's words never misses what the pattern finds."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.preflight.tools import fold, literals_of

PATTERNS = [
    re.compile(text, re.IGNORECASE)
    for text in (
        r"\boutlook\b",
        r"\bmcp__\w*(browser|playwright|chrome)\w*",
        r"\bcalendar (event|invite|invitation|entry|appointment)s?\b",
        r"\b(my|the|your|outlook|google) calendar\b",
        r"\b(log|sign) in(to)? .*\b(web ?site|portal)\b",
    )
]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"\bzotero\b", {"zotero"}),
        (r"mcp__\w*(browser|chrome)\w*", {"browser", "chrome"}),
        (r"a+bcd?", {"bc"}),
        (r"(abc)?x", {"x"}),
        (r"\w+", None),
        (r"abc|\d", None),
        (r"[a-z]long(?:er)+", {"long"}),
    ],
)
def test_the_words_that_a_match_must_hold(pattern: str, words: set[str] | None) -> None:
    found = literals_of(re.compile(pattern, re.IGNORECASE))
    assert found == (None if words is None else frozenset(words))


@given(st.data())
def test_a_text_that_matches_holds_one_of_the_words(data: st.DataObject) -> None:
    pattern = data.draw(st.sampled_from(PATTERNS))
    text = data.draw(st.from_regex(pattern))
    words = literals_of(pattern)
    assert words is not None and any(word in fold(text) for word in words)


@pytest.mark.parametrize("text", ["CALENDAR INVİTE", "calendar ınvite", "ſign in to the portal"])
def test_letters_that_only_match_in_any_case_are_found_too(text: str) -> None:
    matching = [pattern for pattern in PATTERNS if pattern.search(text)]
    for pattern in matching:
        assert any(word in fold(text) for word in literals_of(pattern) or ())
    assert matching
