"""The command line: exit codes, verbs and their arguments, environment variables."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from markup import code, sentence, table

from hypervisor import cli
from hypervisor.cli.exit_codes import CHANGES, CODES
from hypervisor.cli.words import WORDS

REPO = Path(__file__).resolve().parents[2]
_VARIABLE = re.compile(r"\bHYPERVISOR_[A-Z]+(?:_[A-Z]+)*\b")


def exit_codes() -> Iterator[str]:
    """The one table of them."""
    yield "## Exit codes"
    yield table(("Code", "Meaning"), [(code(one), sentence(told)) for one, told in CODES.items()])
    yield CHANGES


def words() -> Iterator[str]:
    """The words that everything here keeps to."""
    yield "## Words"
    yield table(("Word", "Meaning"), [(word, sentence(told)) for word, told in WORDS.items()])


def verbs() -> Iterator[str]:
    yield "## Commands"
    yield (
        "`hypervisor help COMMAND` says the same. `hypervisor -C DIR COMMAND` works as if it were "
        "started in DIR; any command takes `-q`, to print only what was asked for, and `-v`, to "
        "print lists in full. `run` and `start` mean `work`, `ls` means `status`. "
        "`hypervisor --version` prints the version."
    )
    for verb in cli.VERBS:
        if not verb.startswith("_"):
            yield from one_verb(verb)


def one_verb(verb: str) -> Iterator[str]:
    module = cli.load(verb)
    parser = argparse.ArgumentParser(prog=f"hypervisor {verb}", add_help=False)
    module.add_arguments(parser)
    yield f"### `hypervisor {verb}`"
    yield sentence(module.SUMMARY)
    yield f"```\n{usage(parser)}\n```"
    shown = [action for action in parser._actions if action.help is not argparse.SUPPRESS]
    if shown:
        yield table(
            ("Argument", "Meaning"), [(code(spelling(a)), meaning(a, parser)) for a in shown]
        )
    if parser.epilog:
        yield " ".join(parser.epilog.split())
    ends = " ".join(str(inspect.getdoc(module.run)).split("\n\n")[0].split())
    if codes := re.search(r": (\d\b.*?\.)(?: Raises .*)?$", ends):
        yield f"*Exit codes:* {codes[1]}"


def usage(parser: argparse.ArgumentParser) -> str:
    """Return the usage as one line, or as the verb words it; argparse folds it by its version."""
    if parser.usage:
        return parser.usage
    words = [parser.prog]
    options = [action for action in parser._actions if action.option_strings]
    places = [action for action in parser._actions if not action.option_strings]
    words += [spelling(action) for action in places]
    for action in options:
        if action.help is not argparse.SUPPRESS:
            word = spelling(action).rpartition(", ")[2]
            words.append(word if action.required else f"[{word}]")
    return " ".join(words)


def spelling(action: argparse.Action) -> str:
    """Return how an argument is written: `--lease TIME`, `SOURCE…`, `[QUEUE]`."""
    if action.option_strings:
        name = ", ".join(action.option_strings)
        return name if action.nargs == 0 else f"{name} {value_of(action)}"
    name = value_of(action)
    return {"*": f"[{name}…]", "+": f"{name}…", "?": f"[{name}]"}.get(str(action.nargs), name)


def value_of(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return action.dest.upper().replace("_", "-")


def meaning(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    words = " ".join(str(action.help or "").split())
    return words % {**vars(action), "prog": parser.prog} if "%" in words else words


def variables() -> Iterator[str]:
    """The variables that the program or its launcher reads, and where."""
    yield "## Environment variables"
    read: dict[str, set[str]] = {}
    places = [REPO / "bin/hypervisor", *REPO.glob("launcher/*"), *REPO.glob("src/**/*.py")]
    for path in (path for path in places if path.is_file()):
        for name in _VARIABLE.findall(path.read_text(encoding="utf-8")):
            read.setdefault(name, set()).add(path.relative_to(REPO).as_posix())
    yield "What each is for stands in [settings](settings.md#environment-variables)."
    yield table(
        ("Variable", "Read in"),
        [(code(name), ", ".join(f"[{p}](../{p})" for p in sorted(read[name])))
         for name in sorted(read)],
    )  # fmt: skip
