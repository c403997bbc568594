"""Patterns: found as `re` finds them, never missed by the quick look, given up in time."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.config.defaults import defaults
from hypervisor.system import patterns
from hypervisor.system.patterns import Patience, Pattern, TooSlow, check, fold
from hypervisor.triage.assignee import first_hit

SHIPPED = [
    r"\boutlook\b",
    r"\bmcp__\w*(browser|playwright|chrome)\w*",
    r"\bcalendar (event|invite|invitation|entry|appointment)s?\b",
    r"\b(log|sign) in(to)? .*\b(web ?site|portal)\b",
    *defaults()["triage"]["judgement_patterns"],
    *defaults()["triage"]["automatable_patterns"],
]
PATTERNS = [Pattern(text, Patience()) for text in SHIPPED]


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
        (r"\bfoo\b|\bbar\b", {"foo", "bar"}),
        (r"\bfoo\(|bar", {"foo(", "bar"}),
        (r"\ba{0,2}b", {"b"}),
        (r"", None),
    ],
)
def test_the_words_that_a_match_must_hold(pattern: str, words: set[str] | None) -> None:
    found = Pattern(pattern, Patience()).literals
    assert found == (None if words is None else frozenset(words))


def test_every_default_pattern_has_words_and_can_be_searched_for() -> None:
    for pattern in PATTERNS:
        check(pattern.text)
        assert pattern.literals


# Whether ² or a mark above a letter belongs to a word, the two libraries see differently.
_LETTERS = st.characters(max_codepoint=0xFFFF, exclude_categories=("Cn", "Cs", "M", "No", "Nl"))


@given(st.data())
def test_a_text_that_matches_holds_one_of_the_words(data: st.DataObject) -> None:
    pattern = data.draw(st.sampled_from(PATTERNS))
    compiled = re.compile(pattern.text, re.IGNORECASE)
    text = data.draw(st.from_regex(compiled, alphabet=_LETTERS))
    assert pattern.may_match(fold(text))
    assert pattern.search(text)


@pytest.mark.parametrize("text", ["CALENDAR INVİTE", "calendar ınvite", "ſign in to the portal"])
def test_letters_that_only_match_in_any_case_are_found_too(text: str) -> None:
    matching = [one for one in PATTERNS if re.compile(one.text, re.IGNORECASE).search(text)]
    assert matching
    for pattern in matching:
        assert pattern.may_match(fold(text)) and pattern.search(text)


_WORDS = ["review", "Respond", "to", "email", "meeting", "design", "decision", "peer-review"]
_WORDS += ["foo", "bar", "ab", "b", "fix", "bug", "\n", "REVIEW", "preview", "the"]
_ODD = [r"\bfoo\b|\bbar\b", r"\bab?\b", r"\ba{0,2}b"]


@given(st.lists(st.sampled_from(_WORDS), max_size=12))
def test_it_finds_what_the_standard_library_finds(words: list[str]) -> None:
    text = " ".join(words)
    for told in [*SHIPPED, *_ODD]:
        found = re.search(told, text, re.IGNORECASE)
        assert first_hit((Pattern(told, Patience()),), text) == (found[0] if found else None)


@pytest.mark.parametrize("pattern", ["(", "a{99999999999}", "(" * 5000, "x" * 1001, "[", r"\q"])
def test_what_is_no_pattern_is_refused_in_words(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        check(pattern)


ENDLESS = r"^(?:(?:a|a)+)+!$"
BAD = "a" * 60 + "?"


def test_a_pattern_that_takes_for_ever_on_a_text_is_given_up_there_and_lives_on() -> None:
    patience = Patience()
    pattern, other = Pattern(ENDLESS, patience), Pattern("fine", patience)
    began = time.perf_counter()
    with pytest.raises(TooSlow):
        pattern.search(BAD)
    assert time.perf_counter() - began < 2
    assert pattern.search("aa!") and other.search("fine")


def test_thousands_of_texts_on_which_a_pattern_takes_for_ever_cost_seconds() -> None:
    patience = Patience()
    patterns = [Pattern(ENDLESS, patience), Pattern(r"(x+x+)+y", patience), Pattern("f", patience)]
    began, slow, found = time.process_time(), 0, 0
    for _ in range(5000):
        patience.add(len(BAD))
        for pattern in patterns:
            try:
                found += pattern.search(f"{BAD}f") is not None
            except TooSlow:
                slow += 1
    assert time.process_time() - began < 10
    assert slow >= 4900 and found == 5000


def test_many_patterns_that_are_merely_slow_are_given_up_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A fifth of what they have usually.
    for name in ("_START", "_ONE_SEARCH", "_AFTERWARDS"):
        monkeypatch.setattr(patterns, name, getattr(patterns, name) / 5)
    patience = Patience()
    text = "ab" * 300
    slow = [Pattern(rf"(?:a.*){{4}}z{number}", patience) for number in range(50)]
    began = time.process_time()
    for _ in range(200):
        patience.add(len(text))
        for pattern in slow:
            try:
                pattern.search(text)
            except TooSlow:
                pass
    assert time.process_time() - began < 4


def test_time_that_others_had_the_processor_for_is_not_spent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Starved:
        tries = 0

        def search(self, text: str, timeout: float) -> str:
            self.tries += 1
            if self.tries < 3:
                raise TimeoutError
            return text

    starved = Starved()
    monkeypatch.setattr(patterns, "_compiled", lambda text: starved)
    assert Pattern("x", Patience()).search("found") == "found"
