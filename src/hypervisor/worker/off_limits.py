"""Who changed what no worker may change, and what becomes of that worker's item.

What differs from one look to the next was changed by a claim that was out meanwhile: by the only
one, or it can't be told by whom. While none is out, changes are a person's own, and nobody asks.
"""

from __future__ import annotations

import os

from hypervisor.system import protected
from hypervisor.system.checkout import top_of
from hypervisor.system.errors import HypervisorError, NotOwner
from hypervisor.system.text import shell
from hypervisor.worker.off_limits_record import (
    Out,
    Record,
    is_item,
    listed,
    may_write,
    named_in,
    why,
)
from hypervisor.worker.snapshot import snapshot

TYPE_CHECKING = False
__all__ = [
    "asked", "begin", "changes", "end", "listed", "look_after", "refuse", "tokens_out", "why",
]  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypervisor.ledger import Claim, Ledger
    from hypervisor.ledger.rows import Holding

# So many paths stand in the command that lets workers change them.
_NAMED = 5


def begin(ledger: Ledger, claims: Iterable[Claim]) -> bool:
    """Note that `claims` are handed out; False if they must not be, since a protected file was
    changed and it can't be told by whom: their queue is paused then. Raises OSError."""
    with Record(ledger) as record:
        record.look()
        record.drop_ended()
        for claim in claims:
            if claim.queue in record.pauses:
                break
            tree = claim.worktree or ""
            record.out[claim.token] = Out(claim.queue, tree, snapshot(tree) if tree else None)
    record.pause()
    return not record.pauses.keys() & {claim.queue for claim in claims}


def changes(ledger: Ledger, token: str) -> Out:
    """Return what was changed while the claim `token` is out, in a tree of its own too; a queue is
    paused where it can't be told by whom."""
    with Record(ledger) as record:
        record.look()
        found = record.out.get(token, Out())
    record.pause()
    if found.tree:
        found.inside = _in_tree(ledger, found)
    return found


def asked(ledger: Ledger, rules: Iterable[str]) -> None:
    """Note the permission rules that a client asks a person for: if it keeps them, that is the
    person's own change."""
    with Record(ledger) as record:
        record.asked += (rule.replace("\0", "") for rule in rules)


def tokens_out(ledger: Ledger) -> set[str]:
    """Return the claims that are out in this checkout."""
    with Record(ledger) as record:
        return set(record.out)


def end(ledger: Ledger, token: str) -> None:
    """Forget a claim that was charged with what it changed."""
    with Record(ledger) as record:
        record.out.pop(token, None)


def look_after(ledger: Ledger) -> None:
    """Look after claims that ended in any other way: a queue is paused whose worker has changed
    what steers the next run, and was not charged with it."""
    with Record(ledger) as record:
        if record.out:
            record.look()
            record.drop_ended()
    record.pause()


def refuse(ledger: Ledger, row: Holding, committed: list[str] | None = None) -> list[str]:
    """Raise Refused if the worker of the claim in `row` has changed what steers the next run;
    NotOwner, with the item given back, if it or another of several has. `committed` are the paths
    that its branch changes.

    Else return what it changed in the open: paths that a task has to name, and this one doesn't.
    """
    found = changes(ledger, row.token)
    own = [*found.own, *_steering(ledger, row, committed or ())]
    if found.inside:
        # What git does not ignore is in the branch, or as it was.
        own += _ignored(found.tree, found.inside)
    if own:
        raise _refused(row, own)
    if found.shared:
        ledger.ends.release(row.token, free=True, reason=why(found.shared))
        look_after(ledger)
        raise NotOwner(
            f"{why(found.shared)}: not counted as done, and given back",
            f"a person looks at it, then: hypervisor resume {row.queue_name}",
        )
    return _unnamed(ledger, row, found, committed)


def refuse_named(ledger: Ledger, row: Holding, files: Iterable[str]) -> None:
    """Raise Refused if one of `files` (whole paths), which the worker of the claim in `row` is
    about to commit, steers the next run."""
    tree = os.path.realpath(os.path.join(ledger.root, row.worktree or ""))
    places = (
        os.path.join(os.path.realpath(os.path.dirname(file)), os.path.basename(file))
        for file in files
    )
    if own := _steering(ledger, row, [os.path.relpath(place, tree) for place in places]):
        raise _refused(row, own)


def _refused(row: Holding, own: list[str]) -> HypervisorError:
    from hypervisor.worker.checks import Refused

    named = [f" --may-write {shell(path)}" for path in own[:_NAMED]]
    return Refused(
        f"changed, and it steers the next run: {listed(own)}",
        "block the item and say so; a person may let workers change it: "
        f"hypervisor allow {row.queue_name}{''.join(named)}",
        by="off-limits",
    )


def _unnamed(ledger: Ledger, row: Holding, found: Out, committed: list[str] | None) -> list[str]:
    paths = found.open if committed is None else filter(protected.wants_naming, committed)
    paths = [path for path in paths if path != row.path and ledger.queries.id_of(path) is None]
    if not paths:
        return []
    from hypervisor.worker import scope

    if committed is not None:
        return scope.unnamed(ledger.root, paths, [row])
    beside = ledger.queries.held_since(row.claimed_at)
    left = scope.unnamed(ledger.root, paths, [row, *beside])
    ignored = _ignored(ledger.root, left)
    return [path for path in left if path not in ignored]


def _steering(ledger: Ledger, row: Holding, committed: Iterable[str]) -> list[str]:
    """Return those of the paths that a branch changes which steer, by their own name or by that of
    what they lead to."""
    if not committed:
        return []
    tree = os.path.realpath(os.path.join(ledger.root, row.worktree or ""))
    may = named_in(row.may_write)
    found = []
    for path in committed:
        names = [path]
        led = os.path.realpath(os.path.join(tree, path))
        for top in (top_of(tree) or tree, ledger.root):
            if led.startswith(f"{top}/"):
                names.append(os.path.relpath(led, top))
                break
        steering = [name for name in names if protected.steers(name)]
        if not all(protected.allowed(name, may) or is_item(ledger, name) for name in steering):
            found.append(path)
    return found


def _in_tree(ledger: Ledger, claim: Out) -> list[str]:
    """Return the protected paths that differ now in a claim's own tree. What git itself keeps is
    the repository's, which the root is looked at for."""
    may = may_write(ledger, claim.queue)
    return [
        path
        for path in claim.at_first.changed(snapshot(claim.tree, claim.at_first))
        if protected.steers(path)
        and not path.startswith(".git/")
        and not protected.allowed(path, may)
        and not is_item(ledger, path)
    ]


def _ignored(folder: str, paths: list[str]) -> list[str]:
    """Return those of the paths from `folder` that git ignores; none where there is no git."""
    if not paths:
        return []
    from hypervisor.system.git import Git

    try:
        told = Git(folder).run("check-ignore", "-z", "--stdin", input="\0".join(paths))
    except HypervisorError:
        return []
    ignored = told[1].split("\0") if told[0] == 0 else []
    return [path for path in paths if path in ignored]
