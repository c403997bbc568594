"""The ledger of one root: its store, and the parts that hold the verbs of the queue."""

from __future__ import annotations

from hypervisor.config import store as stores
from hypervisor.ledger.part import part
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
    from hypervisor.ledger.generations import Generations
    from hypervisor.ledger.items import Items
    from hypervisor.ledger.narrowing import Narrowing
    from hypervisor.ledger.notifications import Notifications
    from hypervisor.ledger.outbox import Outbox
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
    """A store and its parts, each handed the store and the parts that it stands on, and loaded when
    it is first asked for: hooks do with a few. Use it as a context manager, in one thread."""

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
        """Close the connection."""
        self.store.close()

    @property
    def state(self) -> State:
        """The project's folder of state. Raises Foreign."""
        return self.store.state

    @property
    def is_shared(self) -> bool:
        """True if other machines, with checkouts of their own, may work with this ledger."""
        return self.store.is_shared

    @part
    def queues(self) -> Queues:
        """Which queues there are, and how far each is."""
        from hypervisor.ledger.queues import Queues

        return Queues(self.store)

    @part
    def terms(self) -> Terms:
        """What a queue's owner lays down for its workers."""
        from hypervisor.ledger.terms import Terms

        return Terms(self.store, self.queues)

    @part
    def pauses(self) -> Pauses:
        """What stops the hand-out, and lets it go on."""
        from hypervisor.ledger.pauses import Pauses

        return Pauses(self.store, self.queues)

    @part
    def generations(self) -> Generations:
        """How queues are opened, ended and forgotten."""
        from hypervisor.ledger.generations import Generations

        return Generations(
            self.store,
            self.queues,
            self.terms,
            self.items,
            self.ends,
            self.claim_locks,
            self.accepted,
            self.retries,
        )

    @part
    def accepted(self) -> Accepted:
        """What was done, and is not to be done again."""
        from hypervisor.ledger.accepted import Accepted

        return Accepted(self.store)

    @part
    def items(self) -> Items:
        """The items of queues, and what they wait for."""
        from hypervisor.ledger.items import Items

        return Items(self.store, self.queues)

    @part
    def retries(self) -> Retries:
        """What makes ended items ready again."""
        from hypervisor.ledger.retries import Retries

        return Retries(self.store, self.queues, self.accepted)

    @part
    def reviews(self) -> Reviews:
        """What people say of accepted reports."""
        from hypervisor.ledger.reviews import Reviews

        return Reviews(self.store, self.queues, self.items, self.ends)

    @part
    def suggestions(self) -> Suggestions:
        """Work that workers have found."""
        from hypervisor.ledger.suggestions import Suggestions

        return Suggestions(self.store, self.queues, self.items, self.ends)

    @part
    def narrowing(self) -> Narrowing:
        """What sets items aside."""
        from hypervisor.ledger.narrowing import Narrowing

        return Narrowing(self.store, self.queues, self.items, self.ends)

    @part
    def claim_locks(self) -> ClaimLocks:
        """The locks that claims make beside the ledger."""
        from hypervisor.ledger.claim_locks import ClaimLocks

        return ClaimLocks(self.store, self.queues)

    @part
    def claims(self) -> Claims:
        """How items come into workers' hands."""
        from hypervisor.ledger.claims import Claims

        return Claims(self.store, self.queues, self.pauses, self.claim_locks, self.ends)

    @part
    def ends(self) -> Ends:
        """How claims end."""
        from hypervisor.ledger.ends import Ends

        return Ends(self.store, self.pauses, self.claim_locks)

    @part
    def refusals(self) -> Refusals:
        """Reports that checks have refused."""
        from hypervisor.ledger.refusals import Refusals

        return Refusals(self.store, self.ends)

    @part
    def outbox(self) -> Outbox:
        """Ends that are still to be written where their items came from."""
        from hypervisor.ledger.outbox import Outbox

        return Outbox(self.store)

    @part
    def branches(self) -> Branches:
        """Work on branches, until it is merged."""
        from hypervisor.ledger.branches import Branches

        return Branches(self.store, self.ends)

    @part
    def sessions(self) -> Sessions:
        """The runs of clients, and what they hold."""
        from hypervisor.ledger.sessions import Sessions

        return Sessions(self.store, self.queues, self.claims)

    @part
    def agents(self) -> Agents:
        """The workers in sessions, and what they cost."""
        from hypervisor.ledger.agents import Agents

        return Agents(self.store, self.queues)

    @part
    def followers(self) -> Followers:
        """Who is told of what."""
        from hypervisor.ledger.followers import Followers

        return Followers(self.store, self.queues, self.sessions)

    @part
    def notifications(self) -> Notifications:
        """News for the user, wherever they are."""
        from hypervisor.ledger.notifications import Notifications

        return Notifications(self.store, self.queues, self.queries, self.agents)

    @part
    def queries(self) -> Queries:
        """What people look at."""
        from hypervisor.ledger.queries import Queries

        return Queries(self.store, self.queues)
