"""Tasks as their workers were handed them: what a task asks for is judged by that, whatever becomes
of its file in the worker's hands.

Each lies in `.hypervisor/handed/`, under its claim, if its end will be judged by what it says.
"""

from __future__ import annotations

import os

from hypervisor.system.keys import key
from hypervisor.system.reading import NotReadable, read_file
from hypervisor.worker.outbox import is_task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypervisor.ledger import Claim, Ledger
    from hypervisor.system.state import State

_FOLDER = "handed"
_LARGEST = 1 << 20


def note(ledger: Ledger, claims: Iterable[Claim]) -> None:
    """Keep the tasks of `claims` as they are now, if they have open boxes, or if a check asks which
    files they name. Raises OSError where they can't be kept."""
    for claim in claims:
        if not is_task(claim.path, claim.fingerprint):
            continue
        try:
            text, _ = read_file(os.path.join(ledger.root, claim.file or claim.path), _LARGEST)
        except (OSError, NotReadable):
            continue
        asked = any(check.command is None for check in claim.checks)
        if asked or b"[ ]" in text or b"[\t]" in text:
            ledger.state.folder.below(_FOLDER, make=True).write(key(claim.token), text)


def read(state: State, token: str) -> bytes | None:
    """Return what was kept of the task of the claim `token`, None for nothing."""
    try:
        return state.folder.below(_FOLDER).read(key(token))
    except OSError:
        return None


def forget(state: State, token: str) -> None:
    """Forget the task of a claim that has ended."""
    try:
        state.folder.below(_FOLDER).remove(key(token))
    except OSError:
        return


def forget_ended(ledger: Ledger) -> None:
    """Forget the tasks of all claims that have ended."""
    try:
        folder = ledger.state.folder.below(_FOLDER)
        names = set(folder.names())
        for name in names - {key(token) for token in ledger.claims.live_tokens()} if names else ():
            folder.remove(name)
    except OSError:
        return
