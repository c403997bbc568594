"""`hypervisor help`: what there is to type, from the few words that most people need on down."""

from __future__ import annotations

import textwrap

from hypervisor.cli import GROUPS, VERBS, load, meant, misspelt
from hypervisor.cli.exit_codes import CHANGES, CODES
from hypervisor.cli.words import WORDS
from hypervisor.cli.wrapping import columns
from hypervisor.system.errors import UsageError
from hypervisor.system.text import one_line

# Groups with a page of their own, and for whom it is.
PAGES = {
    "workers": "for workers, item by item",
    "sessions": "for the session of a client that runs a batch",
    "more": "needed now and then",
}
TOPICS = (*PAGES, "formats", "words", "exit-codes")
FIRST = [name for name in GROUPS if name not in (*PAGES, "hidden")]


def page(words: list[str]) -> str:
    """Return the page on what `words` name: nothing, a verb or a topic. Raises UsageError."""
    if not words or words[0] in ("help", "-h", "--help"):
        return _first()
    topic = words[0]
    if topic in PAGES:
        return "\n".join([f"{PAGES[topic]}:", *_verbs(topic), "", _MORE])
    if topic == "formats":
        from hypervisor.tasks import formats

        head = "formats of --format NAME; most are known by their files:"
        return "\n".join([head, *_table(formats.about())])
    if topic == "words":
        return "\n".join(_table(WORDS))
    if topic == "exit-codes":
        codes = {str(code): meaning for code, meaning in CODES.items()}
        return "\n".join([*_table(codes), "", *textwrap.wrap(CHANGES, columns())])
    from hypervisor.cli.parser import of_verb

    verb = meant(topic)
    if verb not in VERBS:
        near = misspelt.topic(topic, TOPICS)
        hint = f"did you mean 'hypervisor help {near}'?" if near else f"hypervisor help {_ALL}"
        raise UsageError(f"no help on '{one_line(topic, 40)}'", hint)
    return of_verb(verb, load(verb)).format_help().rstrip("\n")


_ALL = "|".join(TOPICS)
_MORE = "on one command: hypervisor help COMMAND"
_EVERYWHERE = {
    "-C DIR": "in front of a command: work as if started in DIR",
    "-q, -v": "print only what was asked for, or lists in full",
    "--version": "print the version",
}


def _first() -> str:
    lines = ["usage: hypervisor COMMAND …", ""]
    for name in FIRST:
        lines += [name, *_verbs(name), ""]
    return "\n".join([*lines, "Everywhere", *_table(_EVERYWHERE), "", _MORE, *_rest()])


def _rest() -> list[str]:
    """Return what other pages there are, wrapped to the width of the terminal."""
    return textwrap.wrap(f"on the rest: hypervisor help {_ALL}", columns(), subsequent_indent="  ")


def _verbs(group: str) -> list[str]:
    return _table({f"{verb:10}": load(verb).SUMMARY for verb in GROUPS[group]})


def _table(rows: dict[str, str]) -> list[str]:
    """Return names with what they mean, wrapped to the width of the terminal."""
    width = max(map(len, rows))
    room = max(40, columns())
    return [
        line
        for name, told in rows.items()
        for line in textwrap.wrap(
            told, room, initial_indent=f"  {name:{width}} ", subsequent_indent=" " * (width + 3)
        )
    ]
