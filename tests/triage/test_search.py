"""The short cut for patterns never misses what the pattern finds."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.config.defaults import DEFAULTS
from hypervisor.triage.search import first_hit, opening_word


@pytest.mark.parametrize(
    ("pattern", "word"),
    [
        (r"\breview\b", "review"),
        (r"\bpeer.?review\b", "peer"),
        (r"\breceipts?\b", "receipt"),
        (r"\bx?\b", ""),
        (r"\bdesign\b.*\b(decision|choice)\b", "design"),
        (r"\bfoo\b|\bbar\b", ""),
        (r"\bfoo(a|b)|bar", ""),
        (r"\bfoo[(]|bar", ""),
        (r"\bfoo\(|bar", ""),
        (r"\ba{0,2}b", ""),
        (r"(foo)", ""),
        (r"", ""),
    ],
)
def test_only_letters_that_every_match_holds_count(pattern, word):
    assert opening_word(pattern) == word


_PATTERNS = [
    re.compile(pattern, re.IGNORECASE)
    for name in ("judgement_patterns", "automatable_patterns")
    for pattern in [*DEFAULTS["triage"][name], r"\bfoo\b|\bbar\b", r"\bab?\b", r"\ba{0,2}b"]
]
_WORDS = ["review", "Respond", "to", "email", "meeting", "design", "decision", "peer-review"]
_WORDS += ["foo", "bar", "ab", "b", "fix", "bug"]


@given(st.lists(st.sampled_from([*_WORDS, "\n", "REVIEW", "preview", "the"]), max_size=12))
def test_it_finds_what_each_pattern_finds(words):
    text = " ".join(words)
    for pattern in _PATTERNS:
        found = pattern.search(text)
        assert first_hit((pattern,), text, text.lower()) == (found[0] if found else None)
