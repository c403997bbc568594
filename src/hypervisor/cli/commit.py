"""`hypervisor commit`: commit exactly the files of an item."""

from __future__ import annotations

import argparse
import os

from hypervisor.cli import options
from hypervisor.config.roots import find_root, state_dir
from hypervisor.ledger import Ledger

SUMMARY = "commit exactly these files for an item, one committer at a time"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `hypervisor commit`."""
    parser.add_argument("token", help="from the line 'claim TOKEN'")
    parser.add_argument("-m", "--message", required=True, metavar="TEXT", help="- reads it")
    parser.add_argument("files", nargs="+", metavar="FILE", help="what to commit, and nothing else")


def run(args: argparse.Namespace) -> int:
    """Commit and note the id with the claim: 0, 1 if git refuses, 4 if the item is not ours."""
    from hypervisor.commits import commit
    from hypervisor.worker.share import own_claim

    message = options.texts(args, "message")["message"]
    root = find_root()
    with Ledger.open(root) as ledger:
        own_claim(args.token, ledger.holding(args.token))
        sha = commit(root, state_dir(root), message, args.files, os.getcwd())
        ledger.note_commit(args.token, sha)
    print(f"committed {sha}; the report of {args.token} will name it")
    return 0
