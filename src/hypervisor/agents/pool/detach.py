"""The start of a pool that nobody sits beside: a session of its own, of which only its log is left
to the terminal."""

from __future__ import annotations

import os
import subprocess

from hypervisor.agents.client import own_program
from hypervisor.ledger.sessions import POOL
from hypervisor.system import clients
from hypervisor.system.redact import Redactor
from hypervisor.worker import detached

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypervisor.system.state import State
    from hypervisor.worker.detached import Detached

# It is nobody's command any more, so no client's session is around it.
_AROUND = (*clients.AGENT_AROUND, clients.ENTRY)


def start(
    state: State, queue: str, options: Sequence[str], words: Sequence[str]
) -> Detached | None:
    """Start `hypervisor work OPTIONS… -- WORDS…`, which names `queue`, as a session of its own and
    return it; None where a pool is at work already."""
    lock = detached.take(state, queue)
    if lock is None:
        return None
    told = typed(["--detach", *options], words)
    made, log = detached.begin(state, queue, f"{POOL}{os.urandom(4).hex()}", told)
    try:
        subprocess.Popen(
            [own_program(), "work", "--detached", str(lock), *_line(options, words)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={name: value for name, value in os.environ.items() if name not in _AROUND},
            start_new_session=True,
            pass_fds=(lock,),
        )
    finally:
        os.close(log)
        os.close(lock)
    return made


def typed(options: Sequence[str], words: Sequence[str]) -> list[str]:
    """Return a command line of `work` as it may be kept and shown, without its secrets."""
    return ["work", *map(Redactor().text, _line(options, words))]


def _line(options: Sequence[str], words: Sequence[str]) -> list[str]:
    return [*options, *(["--", *words] if words else [])]
