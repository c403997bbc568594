"""Who gets a task: a person for what needs judgement, the machine for what can be automated."""

from __future__ import annotations

from typing import NamedTuple

from hypervisor.config.settings import TriageSettings
from hypervisor.system.patterns import Pattern, TooSlow, fold
from hypervisor.system.text import one_line
from hypervisor.triage import complexity
from hypervisor.triage.words import Words


def first_hit(patterns: tuple[Pattern, ...], text: str) -> str | None:
    """Return what the first of `patterns` that is found in `text` matches, or None.

    Raises TooSlow where one takes too long.
    """
    folded = fold(text)
    for pattern in patterns:
        if pattern.may_match(folded):
            found = pattern.search(text)
            if found:
                return str(found[0])
    return None


class Choice(NamedTuple):
    """A name ("" leaves the task unassigned) and the rule that chose it."""

    who: str
    rule: str


def choose(words: Words, tags: list[str], level: str | None, rules: TriageSettings) -> Choice:
    """Return who gets a task that has no assignee; the first rule that hits wins.

    `level` is the task's complexity where the project has it triaged, else None.
    """
    if level == complexity.BLOCKED_HUMAN:
        return Choice(rules.judgement, f"complexity {level}")
    if level == complexity.MECHANICAL:
        return Choice(rules.automatable, f"complexity {level}")
    folded = words.text.lower()
    rules.patience.add(len(words.text))
    try:
        hit = first_hit(rules.judgement_patterns, words.text)
    except TooSlow:
        return Choice(rules.judgement, "a pattern of judgement_patterns takes too long")
    if hit is not None:
        return Choice(rules.judgement, f"judgement word '{one_line(hit, 60)}'")
    for phrase in rules.judgement_phrases:
        if phrase in folded:
            return Choice(rules.judgement, f"phrase '{phrase}'")
    for tag in tags:
        if tag.lower() in rules.automatable_tags:
            return Choice(rules.automatable, f"tag {one_line(tag, 40)}")
    try:
        hit = first_hit(rules.automatable_patterns, words.text)
    except TooSlow:
        return Choice(rules.judgement, "a pattern of automatable_patterns takes too long")
    if hit is not None:
        return Choice(rules.automatable, f"automatable words '{one_line(hit, 60)}'")
    if words.acceptance is not None:
        return Choice(rules.automatable, f"heading '{one_line(words.acceptance, 60)}'")
    if words.open_box is not None:
        return Choice(rules.automatable, f"open check box '{one_line(words.open_box, 60)}'")
    return Choice(rules.judgement, "no other rule")
