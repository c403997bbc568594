"""Which root a verb is for that names a queue, a claim or an item: one in a nested repository, as a
worker in a submodule is, may mean what a root further outward has."""

from __future__ import annotations

from hypervisor.config.roots import find_root, roots_in_use
from hypervisor.ledger import Ledger, NoLedger
from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.system.text import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class ledger_at:
    """The ledger of `root`, opened as `Ledger.open` does in a `with`; None where there is none."""

    # The library's decorator loads more than most verbs need.
    def __init__(self, root: str, *, look: bool = False) -> None:
        try:
            self._opened: Ledger | None = Ledger.open(root, look=look)
        except NoLedger:
            self._opened = None

    def __enter__(self) -> Ledger | None:
        return self._opened

    def __exit__(self, *_: object) -> None:
        if self._opened is not None:
            self._opened.close()


def root_of_queue(name: str | None) -> str:
    """Return the nearest root that has a queue of that name; without one the nearest."""
    return find_root() if name is None else _nearest(lambda ledger: bool(ledger.queues.find(name)))


def queue_and_root(name: str | None, verb: str) -> tuple[str, str]:
    """Return the queue `name`, without one the only queue that there is, and its root. Raises
    UsageError where there are none or more, with `verb` in its hint."""
    root = root_of_queue(name)
    if name is not None:
        return name, root
    with Ledger.open(root, look=True) as ledger:
        names = sorted({row.name for row in ledger.queues.all()})
    if len(names) != 1:
        there = f"there are {listed(names, 10, 60)}" if names else "none was opened here"
        one = names[0] if names else "QUEUE"
        raise UsageError(f"which queue? {there}", f"name one, as in: hypervisor {verb} {one}")
    return names[0], root


def root_of_claim(token: str) -> str:
    """Return the nearest root that has made the claim `token`; without one the nearest."""
    return _nearest(lambda ledger: ledger.queries.claim_of(token) is not None)


def root_of_item(word: str) -> str:
    """Return the nearest root that has or had the item whose id, path or claim `word` is; without
    one the nearest."""
    return _nearest(
        lambda ledger: bool(ledger.queries.items_called(word) or ledger.queries.id_of(word))
    )


def _nearest(knows: Callable[[Ledger], bool]) -> str:
    first = find_root()
    others = list(roots_in_use())
    if not others or others == [first]:
        return first
    for root in dict.fromkeys([first, *others]):
        try:
            with Ledger.open(root) as ledger:
                if knows(ledger):
                    return root
        except HypervisorError:
            # What is wrong with the nearest is told by who uses it.
            continue
    return first
