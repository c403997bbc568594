"""Each command that a text in the program names is one that the program has, with its options."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from functools import cache

from hypervisor.cli import VERBS, load
from repository import REPO

SOURCE = REPO / "src/hypervisor"
# A hole of an f-string stands for one word, or for words that are looked at where they are made.
HOLE = "\x00"
COMMAND = re.compile(r"(?:^|[\s`'\"(:,])hypervisor ([a-z][\w-]*)((?: [^\s;,`()|]+)*)")
# What goes on behind a command without any sign between them, in words for people.
PROSE = {"is", "can", "or", "has", "made", "makes", "wrote", "commands", "plugin"}


def texts() -> Iterator[tuple[str, str]]:
    """Yield each text in the source that is no docstring, with its place."""
    for path in sorted(SOURCE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if not COMMAND.search(source):
            continue
        tree = ast.parse(source)
        inside: set[int] = set()
        for node in ast.walk(tree):
            place = f"{path.relative_to(SOURCE)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                inside.add(id(node.value))
            elif isinstance(node, ast.JoinedStr):
                inside |= {id(part) for part in node.values}
                yield (
                    place,
                    "".join(
                        str(part.value) if isinstance(part, ast.Constant) else HOLE
                        for part in node.values
                    ),
                )
            elif (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and id(node) not in inside
            ):
                yield place, node.value


@cache
def options(verb: str) -> frozenset[str]:
    parser = argparse.ArgumentParser(add_help=True)
    load(verb).add_arguments(parser)
    return frozenset(parser._option_string_actions)


def test_each_command_in_a_text_is_one_of_the_program_with_options_that_it_takes() -> None:
    found, wrong = set(), []
    for place, text in texts():
        for command in COMMAND.finditer(text):
            verb, words = command[1], command[2].split()
            if verb in PROSE:
                continue
            if verb not in VERBS:
                wrong.append(f"{place}: {command[0]!r}")
                continue
            found.add(verb)
            for word in words:
                if word == "--":
                    break
                name = word.rstrip(".'\"]").lstrip("[").split("=")[0]
                if name.startswith("--") and HOLE not in name and name not in options(verb):
                    wrong.append(f"{place}: {verb} takes no {name}")
    assert wrong == []
    assert {"open", "next", "retry", "undo", "wait", "plan", "summary", "doctor"} <= found
