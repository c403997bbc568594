"""How complex a task looks: five classes, first rule wins. Off unless the project asks for it."""

from __future__ import annotations

import re
from typing import NamedTuple

from hypervisor.tasks.task import CONTAINERS
from hypervisor.triage.words import Words

BLOCKED_HUMAN = "blocked-human"
NEEDS_DECOMPOSITION = "needs-decomposition"
MECHANICAL = "mechanical"
MULTI_STEP = "multi-step"
REQUIRES_JUDGEMENT = "requires-judgment"

_HUMAN_TAGS = frozenset({"peer_review", "vote", "human-required", "needs-review"})
_HUMAN = re.compile(r"\b(review|vote|meeting|respond|approve|finance|policy|decide)\b", re.I)
_CHOICE = re.compile(r"\b(decide|choose|which)\b", re.I)
_SMALL = re.compile(r"\b(rename|remove|delete|move|update config)\b", re.I)
_FIX = re.compile(r"\bfix\b", re.I)
_PATH = re.compile(r"[/\\][\w.-]+\.(py|ts|js|md|yaml|json)\b")
_LONG = 500


class Verdict(NamedTuple):
    """A class and the rule that chose it."""

    complexity: str
    rule: str


def classify(words: Words, type_: str, tags: list[str], children: bool | None) -> Verdict:
    """Return the class of a task of `type_` with `tags`.

    `children` says whether other tasks name this one as their parent; None means unknown, and
    then neither rule about containers applies.
    """
    tag = next((tag for tag in tags if tag.lower() in _HUMAN_TAGS), None)
    human = _HUMAN.search(words.text)
    choice = _CHOICE.search(words.text)
    small = _SMALL.search(words.title)
    container = type_ in CONTAINERS
    path = _PATH.search(words.text)
    if type_ == "learn":
        return Verdict(BLOCKED_HUMAN, "type learn")
    if tag is not None:
        return Verdict(BLOCKED_HUMAN, f"tag {tag}")
    if human:
        return Verdict(BLOCKED_HUMAN, f"word '{human[0]}'")
    if container and children is False:
        return Verdict(NEEDS_DECOMPOSITION, f"{type_} without children")
    if choice and not words.checklist:
        return Verdict(NEEDS_DECOMPOSITION, f"word '{choice[0]}' and no checklist")
    if small:
        return Verdict(MECHANICAL, f"word '{small[0]}' in the title")
    if words.checklist and path:
        return Verdict(MECHANICAL, f"checklist and file '{path[0]}'")
    if path and _FIX.search(words.title):
        return Verdict(MECHANICAL, f"word 'fix' in the title and file '{path[0]}'")
    if container and children:
        return Verdict(MULTI_STEP, f"{type_} with children")
    if words.acceptance and len(words.text.split()) > _LONG:
        return Verdict(MULTI_STEP, f"more than {_LONG} words and acceptance criteria")
    return Verdict(REQUIRES_JUDGEMENT, "no other rule")
