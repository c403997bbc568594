"""What `hypervisor work` was given to work on: a queue that there is, or sources to open one of."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import unicodedata

from hypervisor.cli.place import ledger_at, root_of_queue
from hypervisor.config.roots import find_root
from hypervisor.ledger import Ledger
from hypervisor.system.errors import UsageError
from hypervisor.system.text import one_line, shell
from hypervisor.tasks.walk import has_magic

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def chosen(words: list[str], queue: str | None) -> tuple[str, list[str]]:
    """Return the queue that is meant, and the sources that are to be opened in it first, if any.

    `words` are a queue's name or sources; `queue` is a queue's name that was given by itself.
    Raises UsageError where it can't be told which of them is meant.
    """
    if queue is not None:
        return queue, words
    if not words:
        raise UsageError("nothing to work on", "name a queue, or a folder, file or list of items")
    first, *more = words
    is_source = os.path.exists(first)
    with ledger_at(root_of_queue(first), look=True) as ledger:
        is_queue = ledger is not None and ledger.queues.find(first) is not None
        if ledger and is_queue and is_source and not _is_made_of(ledger, first, first):
            raise UsageError(
                f"{one_line(first, 100)} is a queue, and a file or folder here",
                f"say ./{one_line(first, 100)} or --queue {one_line(first, 100)}",
            )
    if not is_queue:
        return _name_for(first), words
    if is_source:
        return first, words
    if more:
        raise UsageError(
            f"{first} is a queue, and {one_line(more[0], 100)} is a source",
            f"to add that to it, say --queue {first} {shell(more)}",
        )
    return first, []


def near(word: str) -> str:
    """Return the queue whose name is most like `word`, "" if there is none such."""
    with ledger_at(find_root(), look=True) as ledger:
        names = [row.name for row in ledger.queues.all()] if ledger else []
    return next(iter(difflib.get_close_matches(word, names, 1)), "")


def has_more(queue: str) -> bool:
    """True if there is a queue of that name in which something is left."""
    with ledger_at(root_of_queue(queue), look=True) as ledger:
        known = ledger is not None and ledger.queues.find(queue) is not None
        return ledger is not None and known and not ledger.queues.drained(queue)


def _name_for(source: str) -> str:
    """Return the name of the queue of a source: that which it was opened in before, or a new one by
    its last part."""
    path = source.removeprefix("@").rstrip("/")
    while has_magic(os.path.basename(path)):
        path = os.path.dirname(path)
    if not os.path.isdir(path or "."):
        # `plan.md#setup` is a part of a file.
        path = os.path.splitext(path.partition("#")[0])[0]
    last = unicodedata.normalize("NFKD", os.path.basename(os.path.abspath(path)))
    last = last.encode("ascii", "ignore").decode()
    name = _NOT_IN_A_NAME.sub("-", last).strip("-.")[:90]
    if not name or source == "-":
        raise UsageError(f"{one_line(source, 100)} gives no name for a queue", "add --queue NAME")
    with ledger_at(find_root(), look=True) as ledger:
        told, number = name, 1
        while ledger and ledger.queues.find(told) and not _is_made_of(ledger, told, source):
            number += 1
            told = f"{name}-{number}"
    return told


def _is_made_of(ledger: Ledger, queue: str, source: str) -> bool:
    """True if the queue was opened of this source: its items lie there, or it was named so."""
    if os.path.exists(source):
        place = os.path.relpath(os.path.realpath(source), os.path.realpath(ledger.root))
        if ledger.items.has_below(queue, place):
            return True
    asked = ledger.queries.asked(ledger.queues.get(queue).no)
    return any(source in shlex.split(one) for one in asked)
