"""Whose changes a file holds that a worker wants to commit, in a working tree that others share.

What was in it when the item was handed out is not the item's. What changed since is, unless another
item may have had its part: one that was seen to edit the file, or whose text or `files` name it. If
each change since was seen by hooks as an edit of the item's own worker, nobody else's word counts.
What somebody changes in a file that no task of theirs names, by a shell or an editor, is not known.
"""

from __future__ import annotations

import json
import os
import stat
from typing import NamedTuple

from hypervisor.ledger.overlaps import FilesAtWork
from hypervisor.system import filters, uncommitted
from hypervisor.system.checkout import top_of
from hypervisor.system.errors import HypervisorError
from hypervisor.system.files import fingerprint
from hypervisor.system.text import one_line
from hypervisor.worker.commits import edits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

    from hypervisor.ledger import Ledger
    from hypervisor.ledger.findings import InTree
    from hypervisor.ledger.rows import Holding
    from hypervisor.system.git import Git
    from hypervisor.worker.commits.edits import Edit

# The time of a change is that of the kernel's last tick.
_TICK = 0.05
_SHOWN = 5
_RUN = stat.S_IXUSR
_PLAIN = ("100644", "100755")


class NotTold(HypervisorError):
    """A file holds changes that are not, or may not be, the item's."""

    def __init__(self, path: str, what: str, queue: str) -> None:
        super().__init__(
            f"{one_line(path, 200)} {what}: nothing was committed",
            "leave that file out, or end the item without a commit and name it in the summary; "
            f"on branches each has its own: hypervisor plan {queue} --branch",
        )


class Part(NamedTuple):
    """What of a file is the item's: what stands in it now, less what stood in `base` (as git keeps
    it), upon what the last commit has, `head`. `mode` is for the result."""

    base: str
    head: str
    mode: str


class _Start(NamedTuple):
    """How a file was when the item's changes began: at which time; how it looked, "" for none and
    None where that is not known; `blob`, what git keeps of it, None for nothing; whether it could
    be run; and whether nothing that stood in it is missing in the last commit."""

    at: float
    looks: str | None
    blob: str | None
    run: bool
    clean: bool


class Whose:
    """Looks for what is the item's whose claim is in `row` (of `Ends.holding`). `here` are the
    live claims of this checkout, None where all of the ledger are."""

    def __init__(self, ledger: Ledger, row: Holding, here: Container[str] | None = None) -> None:
        self._ledger, self._row, self._here = ledger, row, here
        self._root = os.path.realpath(ledger.root)
        claims = ledger.queries.claims_on(row.no)
        self._own = {claim.token for claim in claims}
        # What earlier attempts have done is the item's, too.
        self._handed_out = claims[0].claimed_at
        self._opened = ledger.queues.get(row.queue_name).opened_at
        self._begun = uncommitted.read(ledger.state, [claims[0].token])
        self._noted_here = self._begun is not None
        if self._begun is None:
            noted = uncommitted.read(ledger.state, [uncommitted.of_queue(row.queue)])
            self._begun = noted if noted and noted.at <= self._handed_out else None

    def parts(self, git: Git, paths: list[str]) -> dict[str, Part]:
        """Return the files of `paths` (from the top) of which only a part is to be committed; all
        others are the item's as they are. Raises NotTold."""
        if os.path.realpath(git.top()) != top_of(self._root):
            # Another repository than the one that was looked at.
            self._begun, self._noted_here = None, False
        now = _entries(git, "HEAD", paths)
        then: dict[str, tuple[str, str]] = {}
        if self._begun is not None and self._begun.head is not None:
            then = _entries(git, self._begun.head, paths)
        found = {}
        for path in paths:
            part = self._part(git, path, now.get(path), then.get(path))
            if part is not None:
                found[path] = part
        return found

    def committed(self, git: Git, paths: list[str], parts: Container[str]) -> None:
        """Note that these files were committed as they are now, `parts` less what was others'."""
        kept = _entries(git, "HEAD", paths)
        for path in paths:
            file = os.path.join(git.top(), path)
            what, blob = edits.COMMITTED, kept[path][1] if path in kept else None
            if path in parts:
                what, blob = edits.PART, git("hash-object", "-w", "--", path).strip()
            edits.note(self._ledger.state, what, [self._row.token], file, blob)

    # -- one file --

    def _inside(self, file: str) -> str:
        """Return where a file lies, from the root."""
        folder = os.path.realpath(os.path.dirname(file))
        return os.path.relpath(os.path.join(folder, os.path.basename(file)), self._root)

    def _part(
        self, git: Git, path: str, now: tuple[str, str] | None, then: tuple[str, str] | None
    ) -> Part | None:
        file = os.path.join(git.top(), path)
        inside = self._inside(file)
        known = edits.of_file(self._ledger.state, inside)
        start = self._start(git, path, known, now, then)
        looks = fingerprint(file) or ""
        # Nothing of it was missing in the last commit.
        kept = start.clean or start.blob == (now[1] if now else None)
        same = start.looks == looks
        if same and kept:
            return None
        if same or self._is_older(looks):
            until = max(start.at, self._handed_out)
            before = self._others(inside, known, self._opened, until, looks)
            what = f"is as it was when this item was handed out{_by(before)}"
            raise NotTold(path, what, self._row.queue_name)
        since = [edit for edit in known if edit.at > start.at]
        if not self._all_seen(start, since, looks):
            others = self._others(inside, since, start.at, None, looks)
            if others:
                what = f"may hold changes of {_listed(others)}"
                raise NotTold(path, what, self._row.queue_name)
        if kept or not looks or not start.looks:
            return None
        return self._divided(git, path, start, now, inside, known)

    def _divided(
        self,
        git: Git,
        path: str,
        start: _Start,
        now: tuple[str, str] | None,
        inside: str,
        known: list[Edit],
    ) -> Part:
        place = os.path.join(git.top(), path)
        if start.blob is None or now is None or now[0] not in _PLAIN or not _is_plain(place):
            others = self._others(inside, known, self._opened, start.at, None)
            what = f"held changes before this item was handed out{_by(others)}, which can't be told"
            raise NotTold(path, f"{what} from its own", self._row.queue_name)
        run = bool(os.lstat(place).st_mode & _RUN)
        mode = now[0] if run == start.run else _PLAIN[run]
        return Part(start.blob, now[1], mode)

    def conflict(self, git: Git, path: str) -> NotTold:
        """Return what to say of a file whose own change can't be had without what was before it."""
        inside = self._inside(os.path.join(git.top(), path))
        known = edits.of_file(self._ledger.state, inside)
        others = self._others(inside, known, self._opened, self._handed_out, None)
        what = f"was changed in the same lines before this item was handed out{_by(others)}"
        return NotTold(path, what, self._row.queue_name)

    def _start(
        self,
        git: Git,
        path: str,
        known: list[Edit],
        now: tuple[str, str] | None,
        then: tuple[str, str] | None,
    ) -> _Start:
        noted = self._begun
        at = self._opened if noted is None else noted.at
        for edit in reversed(known):
            # All that stood in it was committed, or all that was the item's.
            if edit.at > at and (
                edit.what == edits.COMMITTED
                or (edit.what == edits.PART and not self._own.isdisjoint(edit.tokens))
            ):
                return _Start(edit.at, edit.looks, edit.blob, _runs(edit.looks), False)
        if noted is None:
            return _Start(at, None, None, False, True)
        was = noted.files.get(path)
        if was is None:
            if then is None:
                return _Start(at, "", None, False, True)
            return _Start(at, None, then[1], then[0] == _PLAIN[1], then == now)
        blob = None
        if was.content is not None and not filters.wanted(git, [path]):
            text = was.content.decode("utf-8", "surrogateescape")
            blob = git("hash-object", "-w", "--stdin", f"--path={path}", input=text).strip()
        return _Start(at, was.looks, blob, _runs(was.looks), False)

    def _is_older(self, looks: str) -> bool:
        """True if a file has not changed since the item was handed out, where the clock has to
        tell it."""
        return (
            not self._noted_here and bool(looks) and _changed_at(looks) + _TICK < self._handed_out
        )

    def _all_seen(self, start: _Start, since: list[Edit], looks: str) -> bool:
        """True if each change since the start was an edit of the item's own worker that was seen,
        and nothing changed between any two of them."""
        last, inside = start.looks, False
        first = True
        for edit in since:
            own = not self._own.isdisjoint(edit.tokens)
            if edit.what == edits.BEFORE:
                if own and not (edit.looks == last or (first and _before(edit.looks, start))):
                    return False
                inside = inside or own
            elif edit.what == edits.AFTER:
                if not own or not inside:
                    return False
                last, inside = edit.looks, False
            first = first and not own
        return not first and looks == last

    def _others(
        self,
        path: str,
        known: list[Edit],
        after: float,
        until: float | None,
        looks: str | None,
    ) -> list[str]:
        """Return who else had a part in the file at `path` (from the root) between two times, as
        words: by what was seen, and by what items name. Who has committed it is done with it."""
        commits = (edit for edit in known if edit.what in (edits.COMMITTED, edits.PART))
        done = {token: edit.at for edit in commits for token in edit.tokens}
        found: dict[str, None] = {}
        for edit in known:
            within = edit.at > after and (until is None or edit.at <= until)
            if edit.what != edits.AFTER or not within or self._own & set(edit.tokens):
                continue
            if not edit.tokens:
                found["an edit that belongs to no item"] = None
            for token in edit.tokens:
                claim = self._ledger.queries.claim_of(token)
                if claim is not None and done.get(token, 0.0) < edit.at:
                    found[_said(claim.id, claim.outcome)] = None
        for other in self._ledger.queries.in_this_tree(after):
            if other.token in done or other.no == self._row.no:
                continue
            if until is not None and other.claimed_at > until:
                continue
            if looks and _changed_at(looks) + _TICK < other.claimed_at:
                continue
            if self._here is not None and other.token not in self._here:
                continue
            if _names(other, path):
                found[_said(other.id, other.outcome)] = None
        return list(found)


def _names(claim: InTree, path: str) -> bool:
    if claim.named is not None and path in json.loads(claim.named):
        return True
    if claim.files is None:
        return False
    files = FilesAtWork()
    files.add([path])
    return files.meet_text(claim.files)


def _said(item_id: str, outcome: str | None) -> str:
    return f"{one_line(item_id, 60)} ({outcome or 'at work'})"


def _listed(others: list[str]) -> str:
    more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
    return ", ".join(others[:_SHOWN]) + more


def _by(others: list[str]) -> str:
    return f" (by {_listed(others)})" if others else ""


def _entries(git: Git, commit: str, paths: list[str]) -> dict[str, tuple[str, str]]:
    """Return mode and object of each of `paths` that a commit holds."""
    code, told, _ = git.run("--literal-pathspecs", "ls-tree", "-z", commit, "--", *paths)
    found = {}
    for entry in told.split("\0") if code == 0 else ():
        words, _, path = entry.partition("\t")
        if path:
            mode, _, blob = words.split(" ")
            found[path] = (mode, blob)
    return found


def _changed_at(looks: str) -> float:
    return int(looks.split("-")[2]) / 1e9


def _runs(looks: str) -> bool:
    return bool(looks) and bool(int(looks.split("-")[4], 8) & _RUN)


def _before(looks: str, start: _Start) -> bool:
    """True if a file that looked so had not changed since the start."""
    return bool(looks) and start.looks is None and _changed_at(looks) + _TICK < start.at


def _is_plain(place: str) -> bool:
    return stat.S_ISREG(os.lstat(place).st_mode)
