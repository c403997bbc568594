"""News of queues, sent to where the user is: at least once, with an id by which receivers drop
repeats. Pools send beside their work, verbs that look while they look; hooks never wait for it."""

from __future__ import annotations

import os
import time

from hypervisor.config import notify as config
from hypervisor.config.caller import around
from hypervisor.ledger import Ledger, budget
from hypervisor.system.errors import HypervisorError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading

    from hypervisor.config.notify import Receiver
    from hypervisor.ledger.notifications import Body
    from hypervisor.ledger.options import Queue

SECONDS = 10.0
_LARGEST = 1 << 20


class Lost(Exception):
    """News has not got through; the text says why, and shows no address."""


def tell(ledger: Ledger) -> None:
    """Note what is new of the queues whose news goes anywhere, and send what is due."""
    if around() == "pool" or getattr(ledger.store.engine, "is_copy", False):
        return
    queues = ledger.notifications.subscribed()
    for queue in queues:
        note(ledger, queue)
    if queues:
        send(ledger, SECONDS)


def note(ledger: Ledger, queue: Queue, *, idle: bool = False) -> None:
    """Note what is new of a queue (its row); `idle` as for `Notifications.note`."""
    used_up = queue.state == "paused" and budget.reached(ledger, queue) is not None
    project = ledger.project if ledger.is_shared else os.path.basename(ledger.root)
    ledger.notifications.note(queue, project, used_up=used_up, idle=idle)


def send(ledger: Ledger, seconds: float) -> None:
    """Send what is due, in order, the last of it begun within so many seconds. What comes behind
    something that does not get through waits with it."""
    until = time.monotonic() + seconds
    held_up = set()
    for news in ledger.notifications.unsent():
        if news.receiver is None or news.receiver in held_up:
            continue
        if not news.is_due or time.monotonic() > until or not ledger.notifications.take(news.no):
            held_up.add(news.receiver)
            continue
        try:
            _deliver(config.receiver(news.receiver), news.body)
        except (Lost, UsageError, OSError) as error:
            why = error.strerror or "" if isinstance(error, OSError) else str(error)
            ledger.notifications.failed(news.no, why)
            held_up.add(news.receiver)
        else:
            ledger.notifications.sent(news.no)


def _deliver(to: Receiver, body: str) -> None:
    """Hand a piece of news over. Raises Lost, and OSError."""
    import json

    told: Body = json.loads(body)
    if not to.details:
        told.pop("reason")
        told.pop("items")
    if to.desktop:
        from hypervisor.agents.notify import desktop

        desktop.show(told)
    data = json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")
    if to.webhook:
        from hypervisor.agents.notify import webhook

        webhook.post(to.webhook, data, SECONDS)
    if to.command:
        _run(to.command, data + b"\n")


def _run(words: tuple[str, ...], data: bytes) -> None:
    from hypervisor.system import processes

    try:
        code, _, _ = processes.run(
            words, cwd="/", env=os.environ, seconds=SECONDS, input=data, apart=True, most=_LARGEST
        )
    except processes.Overtime as error:
        raise Lost(f"the command was ended: {error}") from None
    except OSError as error:
        raise Lost(f"the command can't be started: {error.strerror}") from None
    if code:
        raise Lost(f"the command ended with {processes.exit_text(code)}")


class Messenger:
    """Sends a pool's news beside its loop, over a connection of its own."""

    def __init__(self, ledger: Ledger, queue: str) -> None:
        self._ledger, self._queue = ledger, queue
        self._thread: threading.Thread | None = None

    def tend(self, *, idle: bool = False) -> None:
        """Note what is new, and have it sent."""
        queue = self._ledger.queues.get(self._queue)
        if queue.notify is None:
            return
        note(self._ledger, queue, idle=idle)
        busy = self._thread is not None and self._thread.is_alive()
        if not busy and any(news.is_due for news in self._ledger.notifications.unsent()):
            from hypervisor.system import processes

            self._thread = processes.beside(self._send)

    def finish(self, *, idle: bool) -> None:
        """Send what there is at the end."""
        self.tend(idle=idle)
        if self._thread is not None:
            self._thread.join(3 * SECONDS)

    def _send(self) -> None:
        try:
            with Ledger.open(self._ledger.root) as ledger:
                send(ledger, SECONDS)
        except HypervisorError:
            # It stays unsent: the next look tries again.
            return
