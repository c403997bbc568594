"""What may stand at a place of a command line: argcomplete asks while somebody types.

Only words without meaning to any shell are ever offered: an item's id comes out of a task file.
"""

from __future__ import annotations

import argparse
import os

import argcomplete
from argcomplete.completers import BaseCompleter
from argcomplete.shell_integration import shellcode

from hypervisor import cli
from hypervisor.cli.help import TOPICS
from hypervisor.cli.parser import Parser
from hypervisor.config.roots import root_in_use
from hypervisor.ledger import Ledger, LedgerError

_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_MOST = 500


def complete() -> None:
    """Answer the shell's question, which stands in the environment, and end the process."""
    line = os.environ.get("COMP_LINE", "")[: int(os.environ.get("COMP_POINT", "0"))]
    _, *words = line.split(maxsplit=2) or [""]
    verb = words[0] if len(words) > 1 or (line[-1:].isspace() and words) else ""
    if verb and (cli.meant(verb) not in (*cli.VERBS, "help") or verb.startswith("_")):
        return
    parser = Parser(prog="hypervisor", add_help=False)
    verbs = parser.add_subparsers()
    topics = verbs.add_parser("help", help="what there is to type")
    topics.add_argument("topic", choices=[*(v for v in cli.VERBS if v[0] != "_"), *TOPICS])
    # Hidden words are not offered, but what may stand behind them is.
    offered = set(cli.VERBS) - set(cli.GROUPS["hidden"])
    for name in sorted(offered | ({verb} - {"", "help"})):
        # A verb's summary is a look into its module, and bash shows none.
        shown = not verb and os.environ.get("_ARGCOMPLETE_SHELL") != "bash"
        of_verb = verbs.add_parser(name, help=cli.load(name).SUMMARY if shown else None)
        if name == verb:
            cli.load(cli.meant(name)).add_arguments(of_verb)
            _set_completers(of_verb, cli.meant(name))
    argcomplete.autocomplete(parser, always_complete_options=False, default_completer=_Files())


def script(shell: str) -> str:
    """Return what makes `shell` ask us for words."""
    return shellcode(["hypervisor"], shell=shell)


def _set_completers(parser: argparse.ArgumentParser, verb: str) -> None:
    known = {"queue": _queues, "token": _tokens, "tokens": _tokens, "id": _ids, "key": _ids}
    if verb == "work":
        known["sources"] = _queues_and_files
    for action in parser._actions:
        if action.dest in known and not action.choices:
            # Where argcomplete looks for it; argparse knows no such attribute.
            action.completer = known[action.dest]  # type: ignore[attr-defined]


def _queues(**_: object) -> list[str]:
    try:
        with Ledger.open(root_in_use()) as ledger:
            return [row.name for row in ledger.queues.all()]
    except LedgerError:
        return []


def _queues_and_files(prefix: str, **_: object) -> list[str]:
    return _queues() + _Files()(prefix=prefix)


def _tokens(**_: object) -> list[str]:
    try:
        with Ledger.open(root_in_use()) as ledger:
            return list(ledger.claims.live_tokens())
    except LedgerError:
        return []


def _ids(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    queue = getattr(parsed_args, "queue", None)
    try:
        with Ledger.open(root_in_use()) as ledger:
            ids = ledger.queries.ids_like(prefix, queue, _MOST)
    except LedgerError:
        return []
    return [item_id for item_id in ids if item_id and _SAFE.issuperset(item_id)]


class _Files(BaseCompleter):
    """The files that a word starts; bash offers them itself where nothing else is offered."""

    def __call__(self, *, prefix: str, **_: object) -> list[str]:
        if os.environ.get("_ARGCOMPLETE_SHELL") == "bash":
            return []
        folder, start = os.path.split(prefix)
        try:
            entries = sorted(os.scandir(folder or "."), key=lambda entry: entry.name)
        except OSError:
            return []
        return [
            os.path.join(folder, entry.name) + ("/" if entry.is_dir() else "")
            for entry in entries
            if entry.name.startswith(start) and _SAFE.issuperset(entry.name)
        ][:_MOST]
