"""What may be meant by a word that is no command, option or topic."""

from __future__ import annotations

import difflib

from hypervisor.cli import GROUPS, VERBS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# Words of other programs, by what does that here.
_ELSEWHERE = {
    "open": "add new create enqueue import",
    "status": "list info queues",
    "status --watch": "watch top monitor",
    "log QUEUE --follow": "tail logs follow",
    "show": "describe inspect cat",
    "results": "export csv output",
    "report": "html page",
    "work": "exec execute worker process",
    "next": "claim take pop",
    "done": "finish complete ack",
    "pause": "stop halt kill abort hold",
    "resume": "continue unpause go",
    "retry": "restart rerun redo reopen",
    "review": "approve accept reject",
    "check": "verify test",
    "help": "man usage commands",
    # These are not answered with a command that only looks like them.
    "": "delete remove destroy clean clear reset exit quit undone",
}
_MEANT = {word: line for line, words in _ELSEWHERE.items() for word in words.split()}
# What takes something away, or moves it, is never offered to somebody who has typed something else.
_TAKE_AWAY = ("cancel", "prune", "undo", "unlock", "move")
# From here on up two words are alike: `delete` is no misspelt `release`.
_CLOSE = 0.7


def verb(word: str) -> str:
    """Return the line that may have been meant by `word`, "" for none."""
    said = word.strip().lower()
    never = {*_TAKE_AWAY, *GROUPS["hidden"]}
    known = [*VERBS, "--version", "--help", "help"]
    near = [*difflib.get_close_matches(said, known, 1, _CLOSE), ""][0]
    return _MEANT.get(said, "" if near in never else near)


def option(word: str, known: Iterable[str]) -> str:
    """Return which of the options `known` may have been meant by `word`, "" for none."""
    # Whoever sees that there is no such option is sent to the help anyway.
    offered = [name for name in known if name not in ("-h", "--help")] + ["--quiet", "--verbose"]
    # Without the dashes, which all have in common.
    words = {name.lstrip("-"): name for name in offered}
    near = difflib.get_close_matches(word.lstrip("-"), words, 1)
    return words[near[0]] if near else ""


def topic(word: str, topics: Iterable[str]) -> str:
    """Return which page of help may have been meant by `word`, "" for none."""
    said = word.strip().lower()
    near = [one for one in topics if said and one.startswith(said)]
    near += difflib.get_close_matches(said, topics, 1, _CLOSE)
    return near[0] if near else verb(said).partition(" ")[0].lstrip("-")
