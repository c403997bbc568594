"""The reports of finished items as files: `results/<key>.json`, each whole or not there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from hypervisor.ledger import Ledger
from hypervisor.system.files import write_whole
from hypervisor.system.keys import key
from hypervisor.triage.run import Ended

FOLDER = "results"
_SWEEP_SECONDS = 60


def write(folder: str, worker: str, end: Ended) -> None:
    """Write the report of an item that has just ended; `folder` is the batch directory."""
    claim = end.claim
    row = {
        "path": claim.path,
        "title": claim.title,
        "token": claim.token,
        "queue": claim.queue,
        "worker": worker,
    }
    _write(folder, claim.id, time.time(), row, end.outcome, end.report)


def complete(folder: str, ledger: Ledger, queue: str) -> None:
    """Write the reports that are missing: workers were killed between ledger and file."""
    names = set(os.listdir(os.path.join(folder, FOLDER)))
    for row in ledger.queries.results(queue):
        if row.finished_at is not None and f"{key(row.id)}.json" not in names:
            told = row.report or {"reason": row.cause}
            known = row._asdict() | {"queue": queue}
            _write(folder, row.id, row.finished_at, known, row.state, told)
    for name in names:
        path = os.path.join(folder, FOLDER, name)
        if name.startswith(".") and name.endswith(".tmp") and _age(path) > _SWEEP_SECONDS:
            os.unlink(path)


def put_aside(folder: str, generation: int) -> None:
    """Move the reports of an earlier generation of the queue into a folder of their own."""
    reports = os.path.join(folder, FOLDER)
    names = [name for name in os.listdir(reports) if name.endswith(".json")]
    if names:
        aside = os.path.join(reports, f"generation-{generation}")
        os.makedirs(aside, exist_ok=True)
        for name in names:
            os.replace(os.path.join(reports, name), os.path.join(aside, name))


def replace(path: str, told: Mapping[str, object]) -> None:
    """Write `told` as JSON to `path`, whole or not at all. Raises OSError."""
    text = json.dumps(told, ensure_ascii=False, indent=1)
    # The ledger has it, too.
    write_whole(path, f"{text}\n".encode("utf-8", "surrogateescape"), mode=None, sync=False)


def _write(
    folder: str,
    item_id: str,
    at: float,
    row: Mapping[str, object],
    outcome: str,
    report: Mapping[str, object],
) -> None:
    told = {
        "task_id": item_id,
        "path": row["path"],
        "title": row["title"],
        "outcome": outcome,
        **report,
        "queue": row["queue"],
        "token": row["token"],
        "worker": row["worker"],
        "processed_at": datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"),
    }
    replace(os.path.join(folder, FOLDER, f"{key(item_id)}.json"), told)


def _age(path: str) -> float:
    try:
        return time.time() - os.lstat(path).st_mtime
    except OSError:
        return 0.0
