"""How far a queue has come: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hypervisor.ledger.outcomes import FINAL
from hypervisor.system.spans import narrow

_STEPS = 5


@contextmanager
def progress(total: int, *, quiet: bool) -> Iterator[Callable[[dict[str, int]], None]]:
    """Yield a function that shows the counts of a queue of `total` items, on standard error."""
    if quiet:
        yield lambda counts: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task
        from rich.text import Text

        class Elapsed(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(narrow(task.elapsed or 0))

        columns = (BarColumn(), MofNCompleteColumn(), Elapsed())
        console = Console(file=getattr(sys.stderr, "unguarded", sys.stderr))
        with Progress("triage", *columns, console=console) as bar:
            task = bar.add_task("triage", total=total)
            yield lambda counts: bar.update(task, completed=_ended(counts))
    else:
        said = 0

        def say(counts: dict[str, int]) -> None:
            nonlocal said
            step = _ended(counts) * _STEPS // max(1, total)
            if step > said:
                said = step
                print(f"{_ended(counts)}/{total} done", file=sys.stderr, flush=True)

        yield say


def _ended(counts: dict[str, int]) -> int:
    return sum(counts[state] for state in FINAL)
