"""`hypervisor commit`: commit what is an item's in the named files."""

from __future__ import annotations

import argparse
import os

from hypervisor.cli import options
from hypervisor.cli.place import root_of_claim
from hypervisor.ledger import Ledger
from hypervisor.ledger.claims import keep_every
from hypervisor.system.errors import SetupError

SUMMARY = "commit the item's changes to these files; workers take turns"
EXAMPLE = "hypervisor commit 17-x7q2 -m 'Say what it is for' README.md"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("token", help="from the line 'claim TOKEN'")
    parser.add_argument(
        "-m", "--message", required=True, metavar="TEXT", help="- reads standard input"
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="a file to commit, and nothing else; no folder"
    )


def run(args: argparse.Namespace) -> int:
    """Commit and note the id with the claim: 0, 1 if git refuses, or a file holds changes of
    others that can't be told from ours, 4 if the item is not ours."""
    from hypervisor.worker import off_limits
    from hypervisor.worker.commits.commit import commit
    from hypervisor.worker.commits.whose import Whose
    from hypervisor.worker.handout import own_claim
    from hypervisor.worker.setup import stop_pool

    message = options.texts(args, "message")["message"]
    root = root_of_claim(args.token)
    with Ledger.open(root) as ledger:
        row = ledger.ends.holding(args.token)
        own_claim(args.token, row)
        off_limits.refuse_named(ledger, row, map(os.path.abspath, args.files))
        whose = None
        if row.branch is None:
            # Whoever is handed an item from now on finds noted what was there before.
            if not row.commits:
                ledger.sessions.note_commits(row.queue)
            here = off_limits.tokens_out(ledger) if ledger.is_shared else None
            whose = Whose(ledger, row, here)

        try:
            sha = commit(
                ledger.state, message, args.files, os.getcwd(), whose=whose,
                beat=lambda: ledger.claims.keep(args.token),
                beat_every=keep_every(row.lease_ms / 1000),
            )  # fmt: skip
        except SetupError as error:
            stop_pool(ledger, row.queue_name, args.token, error)
            raise
        ledger.sessions.note_commit(args.token, sha)
    print(f"committed {sha}; the report of {args.token} will name it")
    return 0
