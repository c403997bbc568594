"""Edits of files that a client's hooks see: kept, so that a commit can tell whose a change is."""

from __future__ import annotations

import os

from hypervisor.agents import rights

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.agents.hooks import Event
    from hypervisor.ledger import Ledger


def before(ledger: Ledger, event: Event) -> None:
    """A tool is about to be used: note how its file looks, if a worker is about to change it."""
    if tokens := _tokens(ledger, event):
        _note(ledger, event, tokens, before=True)


def after(ledger: Ledger, event: Event) -> None:
    """A tool was used: note whose edit it was. One that belongs to no item counts while any item is
    in somebody's hands."""
    tokens = _tokens(ledger, event)
    if tokens or (tokens is not None and ledger.claims.live_tokens()):
        _note(ledger, event, tokens, before=False)


def _tokens(ledger: Ledger, event: Event) -> list[str] | None:
    """Return the claims for which a file of the shared working tree is edited, None if none is."""
    if event.text("tool_name") not in rights.CHANGING_TOOLS or not event.asked("file_path"):
        return None
    held = ledger.sessions.heard(event.session, event.agent)
    return None if any(row.branch for row in held) else [row.token for row in held]


def _note(ledger: Ledger, event: Event, tokens: list[str], *, before: bool) -> None:
    from hypervisor.worker.commits import edits

    file = os.path.join(event.text("cwd") or ledger.root, event.asked("file_path"))
    try:
        what = edits.BEFORE if before else edits.AFTER
        edits.note(ledger.state, what, tokens, file)
    except (OSError, ValueError):
        return
