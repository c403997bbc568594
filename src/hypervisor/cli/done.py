"""`hypervisor done`: end an item with an accepted report."""

from __future__ import annotations

from hypervisor import worker
from hypervisor.cli import options
from hypervisor.cli.place import root_of_claim
from hypervisor.ledger import Ledger
from hypervisor.system.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

SUMMARY = "end an item as done, with a report; --next also claims the next one"
EXAMPLE = "hypervisor done 17-x7q2 --summary 'rewrote the two paragraphs'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("token", help="from the line 'claim TOKEN'")
    parser.add_argument("--summary", metavar="TEXT", help="what was done; - reads standard input")
    parser.add_argument(
        "--answer",
        metavar="JSON",
        help="what the queue's schema asks for; --summary may then be left out; - reads standard "
        "input",
    )
    parser.add_argument("--commit", metavar="SHA", help="the commit that holds the work")
    parser.add_argument(
        "--file", action="append", default=[], metavar="PATH", help="a file that was changed"
    )
    parser.add_argument("--force", action="store_true", help="accept open boxes; it is noted")
    options.add_end(parser)


def run(args: argparse.Namespace) -> int:
    """Have the report accepted: 0, 1 if the report is refused, 4 if the item is not yours."""
    report: dict[str, object] = {**options.texts(args, "answer", "summary", "note")}
    if not report.keys() & {"answer", "summary"}:
        raise UsageError("the report is empty", "say what was done: --summary, or --answer")
    for name, value in (("commit", args.commit), ("files", args.file)):
        if value:
            report[name] = value
    with Ledger.open(root_of_claim(args.token)) as ledger:
        options.note_use(ledger, args)
        ended = worker.finish(ledger, args.token, "done", report, force=args.force, more=args.next)
        return options.tell_end(ledger, args, ended, f"accepted {args.token}: done")
