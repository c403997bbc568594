"""Reports put to a judge, several at once, each in a process without tools; what can't be judged
stays as it is."""

from __future__ import annotations

import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from hypervisor.agents.client import Judge, Place, prompt
from hypervisor.agents.judge.parts import shown
from hypervisor.agents.judge.verdict import Verdict, verdict
from hypervisor.config.caller import PoolAgent
from hypervisor.ledger import Ledger
from hypervisor.ledger.findings import Reviewed
from hypervisor.system import processes
from hypervisor.system.errors import HypervisorError
from hypervisor.system.redact import Redactor
from hypervisor.system.text import one_line

_SECONDS = 300.0
_LARGEST = 16 << 20
# So many that can't be judged in a row are the judge's fault, and cost only time.
_IN_A_ROW = 3


class Judged(NamedTuple):
    """What became of a report: its `verdict`, or `why` there is none."""

    report: Reviewed
    verdict: Verdict | None
    why: str


def judge(
    ledger: Ledger, queue: str, reports: Sequence[Reviewed], asked: Judge, workers: int
) -> Iterator[Judged]:
    """Have each report judged, so many at once; yield them as they are. Ends early where a few in a
    row can't be."""
    # Over the marks it would take them for a part of what a text begins: they are 16 digits.
    rules, clean = prompt("prompts/judge.md"), Redactor().text
    over = threading.Event()
    in_a_row = 0
    with (
        tempfile.TemporaryDirectory(prefix="hypervisor-judge-") as folder,
        processes.requests_to_end(()) as requests,
    ):
        agent = PoolAgent("judge", "judge", 0, queue)

        def ask(report: Reviewed, text: str) -> Judged:
            if over.is_set():
                return Judged(report, None, "")
            with processes.obeying(requests), tempfile.TemporaryDirectory(dir=folder) as own:
                return _ask(report, text, asked, Place(ledger.root, queue, agent, Path(own)))

        with ThreadPoolExecutor(workers) as pool:
            # What a report is shown by is read here: the ledger is this thread's.
            texts = (_text(ledger, queue, report, rules, clean) for report in reports)
            waiting = []
            for report, text in zip(reports, texts, strict=True):
                waiting.append(pool.submit(ask, report, text))
                if len(waiting) < 2 * workers:
                    continue
                told = waiting.pop(0).result()
                in_a_row = 0 if told.verdict else in_a_row + 1
                if in_a_row >= _IN_A_ROW:
                    over.set()
                yield told
                if over.is_set():
                    break
            for one in waiting:
                told = one.result()
                if told.verdict or told.why:
                    yield told


def _text(
    ledger: Ledger, queue: str, report: Reviewed, rules: str, clean: Callable[[str], str]
) -> str:
    mark = secrets.token_hex(8)
    parts = [
        f"{mark} {name}\n{text}\n{mark} end of {name}"
        for name, text in shown(ledger, queue, report, clean)
    ]
    return "\n\n".join([rules.replace("{mark}", mark), *parts]) + "\n"


def _ask(report: Reviewed, text: str, asked: Judge, place: Place) -> Judged:
    try:
        place.tmp.mkdir()
        start = asked.start(place, text)
        code, *told = processes.run(
            start.words,
            cwd=str(place.tmp),
            env=start.environment,
            seconds=_SECONDS,
            input=start.stdin.encode("utf-8", "replace"),
            most=_LARGEST,
        )
        out, err = (one.decode("utf-8", "replace") for one in told)
        return Judged(report, verdict(asked.read(place, processes.Said(code, out, err))), "")
    except (HypervisorError, OSError, processes.Overtime) as error:
        return Judged(report, None, one_line(error, 300))
