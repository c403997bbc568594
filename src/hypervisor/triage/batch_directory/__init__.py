"""A directory with `queue.txt` as a queue: what is named there is triaged by any number of workers.

`locks/` shows what is being worked on now, `results/` holds one JSON report per finished item, and
`batch_worker.py` starts a worker from the directory itself. The truth is in the ledger of the root
that the items share; another text in `queue.txt` is a new generation of the queue.
"""

from __future__ import annotations

from hypervisor.triage.batch_directory.batch import Batch, not_assigned, open_batch, stats, work
from hypervisor.triage.batch_directory.place import locate

__all__ = ["Batch", "locate", "not_assigned", "open_batch", "stats", "work"]
