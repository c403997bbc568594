"""Where the page goes: whole or not at all, readable by its owner only, never over another file."""

from __future__ import annotations

from hypervisor.ledger.options import Queue
from hypervisor.system.errors import UsageError
from hypervisor.system.files import write_whole
from hypervisor.system.keys import key
from hypervisor.system.state import State, shown
from hypervisor.system.text import one_line
from hypervisor.views.page.render import GENERATOR


def keep(state: State, queue: Queue, page: str, *, plain: bool = False) -> str:
    """Write the page on a generation (its row), or the plain one, to its place in the state and
    return its path. Raises OSError."""
    # No queue's name has a plus.
    number = "" if queue.generation == 1 else f"+{queue.generation}"
    name = f"{key(queue.name)}{number}{'+plain' if plain else ''}.html"
    state.folder.below("reports", make=True).write(name, page.encode("utf-8"), sync=True)
    return shown(state.root, "reports", name)


def write(path: str, page: str) -> None:
    """Write the page to `path`, mode 0600; an earlier page there is replaced as a whole.

    Raises UsageError where `path` is something else than a page of ours, and OSError.
    """
    _refuse_others(path)
    write_whole(path, page.encode("utf-8"))


def _refuse_others(path: str) -> None:
    try:
        with open(path, "rb") as there:
            start = there.read(1000)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        raise UsageError(f"{one_line(path)} is a folder", "name a file for the page") from None
    if GENERATOR.encode() not in start:
        raise UsageError(
            f"{one_line(path)} exists, and is not one of our pages",
            "name another file, or move it away",
        )
