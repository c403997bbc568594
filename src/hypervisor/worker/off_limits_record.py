"""The record of a checkout: how its protected files looked last, and which claims are out.

It lies in `.hypervisor/protected-<inode>`, and each `next` and `done` reads and writes it: it is a
list of texts with NUL between them, since the cheapest library that reads more takes longer than
the call.
"""

from __future__ import annotations

import os

from hypervisor.system import protected
from hypervisor.system.errors import HypervisorError
from hypervisor.system.folder import LARGEST
from hypervisor.system.text import one_line
from hypervisor.worker.snapshot import Snapshot, snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hypervisor.ledger import Ledger

_SHOWN = 10
_KEPT = 200
# Its form, and the end of that word.
_BEGINS = b"1\0"


class Out:
    """A claim that is out: its queue, its own working `tree` ("" without one) and how that looked
    at first; and what was changed meanwhile, as paths from the root.

    `own`: protected, and by its worker. `shared`: protected, by one of several. `inside`:
    protected, in its own tree. `open`: allowed where its task names it, by it or one beside it.
    """

    __slots__ = ("at_first", "inside", "open", "own", "queue", "shared", "tree")

    def __init__(self, queue: str = "", tree: str = "", at_first: Snapshot | None = None) -> None:
        self.queue = queue
        self.tree = tree
        self.at_first = at_first or Snapshot({}, 0)
        self.own: list[str] = []
        self.inside: list[str] = []
        self.shared: list[str] = []
        self.open: list[str] = []


class Record:
    """Held by one process at a time: use it as a context manager, and call `pause` behind it, for
    the ledger may be slow. `out` maps the tokens of claims; `asked` are the permission rules that a
    person was asked for meanwhile; `pauses` maps queues to files."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        # A folder of state may serve several checkouts, of one ledger.
        checkout = os.stat(ledger.root).st_ino
        self._name = f"protected-{checkout}"
        self._folder = ledger.state.folder
        self._lock = self._folder.locked(f"{self._name}.lock")
        self._before: Snapshot | None = None
        self.out: dict[str, Out] = {}
        self.asked: list[str] = []
        self.pauses: dict[str, list[str]] = {}

    def __enter__(self) -> Record:
        self._lock.__enter__()
        try:
            self._read(self._folder.read(self._name))
        except (OSError, ValueError, StopIteration):
            # There is none yet, or it was spoilt: nobody can be charged by that.
            self._before, self.out, self.asked = None, {}, []
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None and self._before is not None:
                self._folder.write(self._name, self._text())
        finally:
            self._lock.__exit__(None, None, None)

    def look(self) -> None:
        """Note what has changed since the last look with the claims that were out meanwhile."""
        now = snapshot(self._ledger.root, self._before)
        before, self._before = self._before, now
        differ = before.changed(now) if before is not None and self.out else []
        if not differ:
            return
        queues = {claim.queue for claim in self.out.values()}
        named = [path for queue in queues for path in may_write(self._ledger, queue)]
        for path in differ:
            if not protected.steers(path):
                self._note("open", path)
            elif path == protected.GRANTS and self._only_granted(before, now):
                continue
            elif not protected.allowed(path, named) and not is_item(self._ledger, path):
                self._note("own" if len(self.out) == 1 else "shared", path)
                for queue in queues if len(self.out) > 1 else ():
                    self.pauses.setdefault(queue, []).append(path)

    def drop_ended(self) -> None:
        """Forget the claims that are over, and can't come back. What they were not charged with
        pauses their queue."""
        if not self.out:
            return
        claims = self._ledger.claims
        live = claims.live_tokens()
        for token in [one for one in self.out if one not in live and not claims.may_come_back(one)]:
            gone = self.out.pop(token)
            if gone.own:
                self.pauses.setdefault(gone.queue, []).extend(gone.own)

    def pause(self) -> None:
        """Pause the queues that somebody has to look at, each with the files named."""
        for queue, paths in self.pauses.items():
            try:
                self._ledger.pauses.pause(queue, why(paths))
            except HypervisorError:
                # It is over already.
                continue

    def _only_granted(self, before: Snapshot | None, now: Snapshot) -> bool:
        """True if a client has kept nothing but a person's answer "don't ask again"."""
        old = before.files.get(protected.GRANTS) if before is not None else None
        new = now.files.get(protected.GRANTS)
        return bool(self.asked) and _grew_by(old or "{}", new or "", self.asked)

    def _note(self, kind: str, path: str) -> None:
        for claim in self.out.values():
            known: list[str] = getattr(claim, kind)
            if path not in known and len(known) < _KEPT:
                known.append(path)

    def _text(self) -> bytes:
        text = _BEGINS + os.fsencode("\0".join(self._words()))
        if len(text) <= LARGEST:
            return text
        # Somebody has made so many long names that the next look would take the record for
        # spoilt, and forget who is charged with what. It forgets how they looked instead.
        self._before = Snapshot({}, 0)
        for claim in self.out.values():
            claim.at_first = Snapshot({}, 0)
        return _BEGINS + os.fsencode("\0".join(self._words()))

    def _words(self) -> list[str]:
        assert self._before is not None
        asked = self.asked[-_KEPT:] if self.out else []
        words = [*_of_snapshot(self._before), str(len(asked)), *asked, str(len(self.out))]
        for token, claim in self.out.items():
            words += [token, claim.queue, claim.tree, *_of_snapshot(claim.at_first)]
            for paths in (claim.own, claim.shared, claim.open):
                words += [str(len(paths)), *paths]
        return words

    def _read(self, raw: bytes) -> None:
        if not raw.startswith(_BEGINS):
            return
        word = iter(os.fsdecode(raw[len(_BEGINS) :]).split("\0")).__next__
        self._before = _snapshot_of(word)
        self.asked.extend(word() for _ in range(int(word())))
        for _ in range(int(word())):
            token = word()
            claim = self.out[token] = Out(word(), word(), _snapshot_of(word))
            for paths in (claim.own, claim.shared, claim.open):
                paths.extend(word() for _ in range(int(word())))


def _grew_by(before: str, after: str, asked: list[str]) -> bool:
    """True if a client's settings differ by nothing but more rules of `asked` that allow."""
    import json

    try:
        old, new = json.loads(before), json.loads(after)
        was, now = (set(told.setdefault("permissions", {}).pop("allow", ())) for told in (old, new))
        return bool(was <= now and now - was <= set(asked) and old == new)
    except (ValueError, TypeError, AttributeError):
        return False


def may_write(ledger: Ledger, queue: str) -> list[str]:
    """Return the paths that a person has let the workers of `queue` write."""
    told = ledger.queues.get(queue).may_write
    return named_in(told)


def named_in(told: str | None) -> list[str]:
    """Return the paths in a queue's column `may_write`."""
    if not told:
        return []
    import json

    return list(json.loads(told))


def is_item(ledger: Ledger, path: str) -> bool:
    """True for the file of an item, into which a person's word lets workers write; never for one
    that programs read by its very name."""
    return not protected.steers(os.path.basename(path)) and ledger.queries.id_of(path) is not None


def why(paths: Iterable[str]) -> str:
    """Return why a queue is paused for these paths."""
    return f"{listed(paths)} changed, which steers the next run, and nobody knows who changed it"


def listed(paths: Iterable[str]) -> str:
    """Return paths as words of a sentence, the first few of them."""
    known = list(dict.fromkeys(paths))
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return ", ".join(one_line(path, 120) for path in known[:_SHOWN]) + more


def _of_snapshot(told: Snapshot) -> list[str]:
    pairs = [word for pair in told.files.items() for word in pair]
    return [str(told.levels), str(len(told.files)), *pairs]


def _snapshot_of(word: Callable[[], str]) -> Snapshot:
    levels, count = int(word()), int(word())
    return Snapshot({word(): word() for _ in range(count)}, levels)
