"""What an agent does with a queue: take the next item, and end it with one accepted report."""

from __future__ import annotations

import os

from hypervisor import outbox
from hypervisor.errors import BrokenFile, HypervisorError, NotOwner
from hypervisor.ledger import Ledger
from hypervisor.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from hypervisor.ledger import Claim

_SHOWN_BOXES = 5
_KEPT_BOXES = 50
UNHEARD_SECONDS = 3600


class Refused(HypervisorError):
    """The report was not accepted; the item is still its worker's."""


def take(
    ledger: Ledger, queue: str, worker: str, n: int = 1, only: str | None = None
) -> list[Claim]:
    """Claim up to `n` items that really want work, and return them.

    An item's file is looked at again only if it changed since `open`: a task that somebody has
    completed meanwhile is closed as skipped, one that is gone or broken as blocked, and the next
    one is claimed instead. Should that fail, nothing stays claimed.
    """
    outbox.flush(ledger)
    session, lease = _session(ledger, queue)
    taken: list[Claim] = []
    claims: list[Claim] = []
    try:
        while len(taken) < n:
            claims = ledger.claim(
                queue, worker, n - len(taken), only=only, session=session, lease_seconds=lease
            )
            if not claims:
                # Looking for one may have ended claims that died, whose files are to be told.
                outbox.flush(ledger)
                break
            for claim in claims:
                claim.renewed = lease is None
                closed = _no_longer_wanted(ledger.root, claim)
                if closed is None:
                    taken.append(claim)
                else:
                    _close(ledger, claim, *closed)
    except BaseException:
        give_back(ledger, {claim.token: claim for claim in [*taken, *claims]})
        raise
    return taken


def _close(ledger: Ledger, claim: Claim, outcome: str, report: dict[str, Any]) -> None:
    try:
        ledger.finish(claim.token, outcome, report)
    except NotOwner:
        # Looking took longer than the lease: whoever gets it next closes it.
        return


def give_back(ledger: Ledger, tokens: Iterable[str]) -> None:
    """Free claims that no worker has heard of; it costs their items nothing."""
    for token in tokens:
        try:
            ledger.release(token, free=True)
        except NotOwner:
            continue


def _session(ledger: Ledger, queue: str) -> tuple[str | None, float | None]:
    """Return the client's session around this process, and the lease if the queue's won't do.

    Hooks renew leases. Where none has been heard of in a session, a claim has to last for as long
    as an item may take.
    """
    session = os.environ.get("CLAUDE_CODE_SESSION_ID") or None
    if session is None:
        return None, None
    ledger.follow(session, queue)
    known = ledger.session(session)
    if known is not None and known["heard_at"] is not None:
        return session, None
    return session, max(UNHEARD_SECONDS, ledger.queue_row(queue)["lease_ms"] / 1000)


def fingerprint(status: os.stat_result) -> str:
    """Return how a file looks from outside: any edit changes it."""
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def finish(ledger: Ledger, token: str, outcome: str, report: dict[str, Any]) -> str:
    """Have the report accepted and written; return the item's state now.

    Raises NotOwner, with nothing written. What can't be written into the file stays pending.
    """
    row = _row(ledger, token, outcome)
    state = ledger.finish(token, outcome, report, pending=row is not None and _is_task(row))
    outbox.flush(ledger)
    return state


def done(ledger: Ledger, token: str, report: dict[str, Any], *, force: bool) -> str:
    """Finish as done, if the task's boxes are ticked and the queue's check passes.

    `force` accepts open boxes and notes them in the report. Raises Refused, and the item stays
    its worker's; NotOwner, and nothing is written.
    """
    row = _row(ledger, token, "done")
    if row is None:
        return finish(ledger, token, "done", report)
    boxes = _open_boxes(ledger.root, row) if _is_task(row) else []
    if boxes and not force:
        listed = "; ".join(one_line(box, 80) for box in boxes[:_SHOWN_BOXES])
        more = f" and {len(boxes) - _SHOWN_BOXES} more" if len(boxes) > _SHOWN_BOXES else ""
        raise Refused(
            f"not ticked in {one_line(row['path'])}: {listed}{more}",
            "tick what is done and say done again, add --force, or block the item",
        )
    if boxes:
        report = report | {"forced": [one_line(box) for box in boxes[:_KEPT_BOXES]]}
    commit = ledger.commit_of(token)
    if commit and "commit" not in report:
        report = report | {"commit": commit}
    if row["verify"]:
        _verify(ledger, token, row)
        report = report | {"verify": row["verify"]}
    return finish(ledger, token, "done", report)


def _row(ledger: Ledger, token: str, outcome: str) -> Any:
    """Return the item that `token` holds, or None if it has already said this outcome."""
    try:
        return ledger.holding(token)
    except NotOwner:
        if ledger.said(token) != outcome:
            raise
        return None


def _is_task(row: Any) -> bool:
    # Only tasks have one: other files and rows get no report of ours.
    return row["path"] is not None and row["fingerprint"] is not None


def _no_longer_wanted(root: str, claim: Claim) -> tuple[str, dict[str, Any]] | None:
    """Return the outcome and report for an item that needs no worker any more, or None."""
    if claim.path is None or claim.payload is not None:
        return None
    path = os.path.join(root, claim.path)
    try:
        if claim.fingerprint in (None, fingerprint(os.stat(path))):
            return None
        from hypervisor.config.settings import load
        from hypervisor.tasks import read, task_of

        task = task_of(read.read(path), load(root))
    except BrokenFile as error:
        return "blocked", {"reason": str(error).replace(os.path.join(root, ""), "")}
    except OSError as error:
        return "blocked", {"reason": f"{claim.path} can't be read: {error.strerror or error}"}
    if task is None:
        return "skipped", {"reason": "no longer a task"}
    if task.state in ("done", "cancelled"):
        return "skipped", {"reason": f"already complete: someone set it to {task.status}"}
    return None


def _open_boxes(root: str, row: Any) -> list[str]:
    """Return the texts of the open boxes that count: those under Acceptance…, else all."""
    from hypervisor.tasks import markdown, read

    try:
        body = markdown.without_own_section(read.read(os.path.join(root, row["path"])).body)
    except (OSError, BrokenFile):
        return []
    headings = markdown.headings(body)
    boxes = markdown.boxes(body)
    spans = [
        (head.offset, next((h.offset for h in headings[at:] if h.level <= head.level), len(body)))
        for at, head in enumerate(headings, 1)
        if head.title.lower().startswith("acceptance")
    ]
    if spans:
        boxes = [box for box in boxes if any(start < box.offset < end for start, end in spans)]
    return [box.text for box in boxes if not box.checked]


def _verify(ledger: Ledger, token: str, row: Any) -> None:
    """Run the queue's check with the lease renewed. Raises Refused, NotOwner."""
    from hypervisor import verify
    from hypervisor.config.roots import state_dir
    from hypervisor.config.settings import load

    def beat() -> None:
        if not ledger.heartbeat([token]):
            raise NotOwner(*ledger.lost(token))

    checked = verify.check(
        row["verify"],
        root=ledger.root,
        state=state_dir(ledger.root),
        item_id=row["id"],
        path=row["path"],
        limit=load(ledger.root).limits.verify_seconds,
        beat=beat,
        beat_every=min(30, row["lease_ms"] / 3000),
    )
    if not checked.ok:
        fix = "mend it and say done again; the item is still yours"
        if checked.tail:
            fix += f". The end of its output:\n{checked.tail}"
        raise Refused(f"the check of this queue failed: {checked.why}", fix)
    beat()
