"""A ledger in a shared store: opened, noted in the project, and patient with its server.

Each verb is a transaction that can be said again. One that was not committed, since the server
went away or two writers collided, is repeated whole. Every end is idempotent by its token, and
where a lost reply leaves open what became of a commit, the row that it would have written tells
(`Store.proven_by`).
"""

from __future__ import annotations

import time
from _collections_abc import Iterator

from hypervisor.config import store
from hypervisor.config.roots import create_state
from hypervisor.ledger.store import Collision, Gone, LedgerError, Store
from hypervisor.system import libraries
from hypervisor.system.state import State
from hypervisor.system.text import shell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hypervisor.ledger.postgres import Postgres

_COLLISIONS = 20


def open_shared(
    root: str, told: str, project: str | None, *, create: bool, patience: float | None
) -> Store:
    """Open the ledger of `project` in the store at `told`.

    The first use is noted in the state of `root`. Raises NoLedger and LedgerError.
    """
    if not create:
        return _opened(root, told, project, False, patience)
    # Those who come first at once agree on one name for the project.
    with create_state(root).folder.locked("store.lock"):
        return _opened(root, told, project, True, patience)


def _opened(
    root: str, told: str, project: str | None, create: bool, patience: float | None
) -> Store:
    kept = store.noted(State.find(root))
    name = kept[1] if kept else project
    for again in range(_COLLISIONS, -1, -1):
        try:
            engine = open_engine(root, told, name, create=create, patience=patience)
            if (state := State.find(root)) is not None:
                engine.mind_clock_of(state)
            opened = Store(root, engine)
            break
        except Gone:
            # It answered and went away again at once: it is waited for once more.
            if not again:
                raise
    if create or kept is None:
        engine.server.warn_of_plain()
    if kept is None:
        store.note(create_state(root), told, opened.project)
    return opened


def open_engine(
    root: str, told: str, project: str | None, *, create: bool, patience: float | None = None
) -> Postgres:
    """Return the engine of `project` in the store at `told`. Raises NoLedger and LedgerError."""
    try:
        from hypervisor.ledger import postgres
    except ImportError as error:
        raise LedgerError(
            f"{store.shown(told)}: {error.name} is not installed here",
            libraries.mend("postgres", f"HYPERVISOR_STORE={shell(store.shown(told))} {{}} status"),
        ) from None
    return postgres.connect(root, told, project, create=create, patience=patience)


def make_patient(part: object, engine: Postgres) -> None:
    """Have every verb of a part repeated when the connection is lost or writers collide."""
    for name in dir(type(part)):
        if not name.startswith("_"):
            setattr(part, name, _repeated(getattr(part, name), engine))


def _repeated(verb: Callable[..., object], engine: Postgres) -> Callable[..., object]:
    def call(*args: object, **options: object) -> object:
        if engine.transaction.is_open:
            return verb(*args, **options)
        # What can be read once only has to last for several tries.
        args = tuple(list(one) if isinstance(one, Iterator) else one for one in args)
        collisions, until = 0, None
        while True:
            try:
                return verb(*args, **options)
            except Gone:
                until = until or time.monotonic() + engine.server.patience
                engine.connect_again(until)
            except Collision:
                collisions += 1
                if collisions > _COLLISIONS:
                    raise
                import random

                time.sleep(random.uniform(0, 0.02 * collisions))

    return call
