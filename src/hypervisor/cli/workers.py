"""What `hypervisor work` shows while it runs: on a terminal a line per worker, a bar and the time
that is left; elsewhere a plain line when something has changed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from hypervisor import cli
from hypervisor.system.spans import moment, narrow, span
from hypervisor.system.text import count, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rich.console import RenderableType

    from hypervisor.agents.pool.launch import View

_STEPS = 10
_QUIET_SECONDS = 60


@contextmanager
def shown(queue: str) -> Iterator[Callable[[View], None]]:
    """Yield a function that shows a view of the pool on `queue`, on standard error."""
    if cli.loud < 0:
        yield lambda view: None
        return
    if not sys.stderr.isatty():
        yield Plain(queue).show
        return
    from rich.console import Console
    from rich.live import Live

    pace = Pace()
    console = Console(file=getattr(sys.stderr, "unguarded", sys.stderr))
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        yield lambda view: live.update(_screen(queue, view, pace))


class Pace:
    """How fast items end, and so when the last one will. Measured over this run alone."""

    def __init__(self) -> None:
        self._begun: tuple[float, int] | None = None

    def left(self, view: View) -> float | None:
        """Return how many seconds are left at the pace so far, None while nothing is known."""
        now = time.monotonic()
        if self._begun is None:
            self._begun = now, view.ended
        begun, ended = self._begun
        done = view.ended - ended
        if done <= 0:
            return None
        open_items = view.counts["ready"] + view.counts["claimed"]
        return (now - begun) / done * open_items


class Plain:
    """A line per worker's start and end, and on the queue's progress now and then."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._pace = Pace()
        self._step = self._ended = -1
        self._said = 0.0
        self._state = ""

    def show(self, view: View) -> None:
        """Print what is new."""
        left = self._pace.left(view)
        step = view.ended * _STEPS // max(1, view.total)
        # Of what takes hours something is told in between.
        late = view.ended != self._ended and time.monotonic() - self._said > _QUIET_SECONDS
        if step != self._step or late:
            self._step, self._ended, self._said = step, view.ended, time.monotonic()
            remaining = f", about {span(left)} left" if left else ""
            self._say(f"{view.ended}/{count(view.total, 'item')} ended{remaining}")
        state = _state(view)
        if state != self._state:
            self._state = state
            if state:
                self._say(state)

    def _say(self, text: str) -> None:
        # Nobody has to read it: the pool goes on.
        with suppress(BrokenPipeError):
            print(f"{self._queue}: {text}", file=sys.stderr, flush=True)


def _screen(queue: str, view: View, pace: Pace) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for running in view.running:
        table.add_row(
            Text(running.agent.name),
            Text(one_line(running.shown_item or "-", 40)),
            Text(one_line(running.tool, 30)),
            Text(narrow(running.seconds)),
        )
    left = pace.left(view)
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        Text(queue),
        ProgressBar(total=max(1, view.total), completed=view.ended, width=40),
        Text(f"{view.ended}/{view.total}"),
        Text("" if left is None else f"about {span(left)} left"),
    )
    return Group(table, bar, Text(_state(view)))


def _state(view: View) -> str:
    if view.state == "paused":
        then = ""
        if view.resume_at is not None:
            then = f"; goes on at {moment(view.resume_at)}"
        why = f" ({one_line(view.reason, 100)})" if view.reason else ""
        return f"paused{why}{then}"
    if view.draining:
        return "draining: no new items; Ctrl-C again stops at once"
    return ""
