"""The ledger of one root: its store, and the parts that hold the verbs of the queue."""

from __future__ import annotations

from hypervisor.config import store as stores
from hypervisor.ledger.store import Store
from hypervisor.system.state import LEDGER, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from hypervisor.ledger.accepted import Accepted
    from hypervisor.ledger.agents import Agents
    from hypervisor.ledger.branches import Branches
    from hypervisor.ledger.claim_locks import ClaimLocks
    from hypervisor.ledger.claims import Claims
    from hypervisor.ledger.ends import Ends
    from hypervisor.ledger.followers import Followers
    from hypervisor.ledger.forgetting import Forgetting
    from hypervisor.ledger.generations import Generations
    from hypervisor.ledger.items import Items
    from hypervisor.ledger.narrowing import Narrowing
    from hypervisor.ledger.notifications import Notifications
    from hypervisor.ledger.outbox import Outbox
    from hypervisor.ledger.outputs import Outputs
    from hypervisor.ledger.pauses import Pauses
    from hypervisor.ledger.queries import Queries
    from hypervisor.ledger.queues import Queues
    from hypervisor.ledger.refusals import Refusals
    from hypervisor.ledger.retries import Retries
    from hypervisor.ledger.reviews import Reviews
    from hypervisor.ledger.sessions import Sessions
    from hypervisor.ledger.suggestions import Suggestions
    from hypervisor.ledger.terms import Terms


class Ledger:
    """A store and its parts, each loaded when it is first asked for: hooks do with a few. Use it as
    a context manager, in one thread."""

    # Which queues there are, and how far each is.
    queues: Queues
    # What a queue's owner lays down for its workers.
    terms: Terms
    # What stops the hand-out, and lets it go on.
    pauses: Pauses
    # How queues are opened, and ended.
    generations: Generations
    # How old ones are forgotten.
    forgetting: Forgetting
    # What was done, and is not to be done again.
    accepted: Accepted
    # The items of queues, and what they wait for.
    items: Items
    # What makes ended items ready again.
    retries: Retries
    # What people say of accepted reports.
    reviews: Reviews
    # Work that workers have found.
    suggestions: Suggestions
    # What sets items aside.
    narrowing: Narrowing
    # The locks that claims make beside the ledger.
    claim_locks: ClaimLocks
    # How items come into workers' hands.
    claims: Claims
    # How claims end.
    ends: Ends
    # Reports that checks have refused.
    refusals: Refusals
    # Ends that are still to be written where their items came from.
    outbox: Outbox
    # Work on branches, until it is merged.
    branches: Branches
    # The runs of clients, and what they hold.
    sessions: Sessions
    # The workers in sessions, and what they cost.
    agents: Agents
    # Who is told of what.
    followers: Followers
    # News for the user, wherever they are.
    notifications: Notifications
    # What people look at.
    queries: Queries
    # What came out of all generations of a queue.
    outputs: Outputs

    def __init__(self, store: Store) -> None:
        self.store = store
        self.root = store.root
        self.project = store.project
        self.ledger_id = store.ledger_id

    @classmethod
    def open(
        cls,
        root: str,
        *,
        create: bool = False,
        project: str | None = None,
        patience: float | None = None,
        look: bool = False,
    ) -> Self:
        """Open the ledger of `root` in the store that this shell names; with `create`, make it if
        there is none.

        `project` names the project in a new ledger; without it a random name is made. `patience`
        is for how many seconds a server that doesn't answer is waited for. Who will only `look`
        may do so in a folder that can't be written.
        Raises NoLedger and LedgerError.
        """
        told = stores.address()
        state = State.find(root)
        kept = stores.check(root, told, state)
        if told is None:
            from hypervisor.ledger.embedded import connect

            return cls(Store(root, connect(root, state, create, project, look=look)))
        from hypervisor.ledger.shared import open_shared

        name = kept[1] if kept else project
        return cls(open_shared(root, told, name, create=create, patience=patience))

    @staticmethod
    def place(root: str) -> tuple[object, ...]:
        """Return what differs once `open` would open another ledger than before. Raises what it
        raises for a store that may not be used."""
        told, state = stores.address(), State.find(root)
        stores.check(root, told, state)
        if state is None:
            return (told,)
        file = state.folder.look(LEDGER)
        return told, state.id, file and (file.st_dev, file.st_ino)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.store.close()

    @property
    def state(self) -> State:
        """The project's folder of state. Raises Foreign."""
        return self.store.state

    @property
    def is_shared(self) -> bool:
        """True if other machines, with checkouts of their own, may work with this ledger."""
        return self.store.is_shared

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """Make a part when it is first asked for."""
            kind = Ledger.__annotations__.get(name)
            if kind is None:
                raise AttributeError(f"a ledger has no {name}")
            kind = getattr(__import__(f"hypervisor.ledger.{name}", fromlist=[kind]), kind)
            others = {need: getattr(self, need[1:]) for need in kind.__annotations__}
            part = kind(self.store, others)
            if self.is_shared:
                from hypervisor.ledger.shared import make_patient

                make_patient(part, self.store.engine)
            setattr(self, name, part)
            return part
