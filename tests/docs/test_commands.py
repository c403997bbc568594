"""Whatever page names a command names one that there is, with options that it takes."""

from __future__ import annotations

import argparse
import functools
import re
from pathlib import Path

import pytest

from docs.typist import REPO
from hypervisor import cli

PAGES = sorted(
    path
    for folder in ("", "docs/**/", "skills/**/", "commands/", "agents/", "prompts/")
    for path in REPO.glob(f"{folder}*.md")
)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_CALL = re.compile(r"(?:^|[;|&(]\s*|\$ )(?:\S+/)?hypervisor ([a-z][a-z-]+)\b([^|;&#)\n]*)")


@functools.cache
def options(verb: str) -> set[str]:
    parser = argparse.ArgumentParser()
    cli.load(verb).add_arguments(parser)
    return {name for action in parser._actions for name in action.option_strings}


def calls(page: Path) -> set[tuple[str, str]]:
    """Each command of a page: its verb, and the words behind it."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    fenced = [line.strip() for block in text.split("```")[1::2] for line in block.splitlines()]
    spans = _SPAN.findall("".join(text.split("```")[::2]))
    return {call for code in (*fenced, *spans) for call in _CALL.findall(code)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_every_command_of_a_page_exists_and_takes_the_options_it_is_given(page: Path) -> None:
    wrong = []
    for verb, rest in sorted(calls(page)):
        if verb == "help":
            continue
        if verb not in cli.VERBS:
            wrong.append(verb)
            continue
        words = re.split(r" -- |<<", rest)[0].split()
        given = {word.split("=")[0].strip("[],.`'\"") for word in words if word.startswith("--")}
        wrong += [f"{verb} {name}" for name in given - options(verb) - {"--", "--help"}]
    assert wrong == []


def test_commands_are_found_in_the_pages() -> None:
    found = {verb for page in PAGES for verb, _ in calls(page)}
    assert {"open", "next", "done", "block", "status", "summary", "undo", "triage"} <= found
