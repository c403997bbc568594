"""`hypervisor report`: one HTML file that shows a queue to whoever wants to look."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hypervisor.agents import reconcile, use
from hypervisor.cli import options
from hypervisor.cli.place import root_of_queue
from hypervisor.ledger import Ledger
from hypervisor.system.errors import HypervisorError

SUMMARY = "one HTML file that shows what was asked, what came out and what is next"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `hypervisor report`."""
    parser.add_argument("queue", help="the queue's name")
    options.add_generation(parser)
    parser.add_argument(
        "--plain", action="store_true", help="for readers without hypervisor: no commands in it"
    )
    parser.add_argument("--open", action="store_true", help="show it in the browser")
    parser.add_argument(
        "--output", metavar="FILE", help="where to write it (default: .hypervisor/reports/)"
    )


def run(args: argparse.Namespace) -> int:
    """Write the page and print its path: 0, or 1 if --open found no browser."""
    from hypervisor.views import page

    root = root_of_queue(args.queue)
    with Ledger.open(root, look=True) as ledger:
        reconcile.settle(ledger, limit=None, tell=True)
        use.collect_all(ledger, args.queue)
        queue = ledger.queues.get(args.queue, args.generation)
        text = page.render(ledger, args.queue, plain=args.plain, generation=queue.generation)
        try:
            path = args.output or page.keep(ledger.state, queue, text, plain=args.plain)
        except OSError as error:
            raise HypervisorError(
                f"the page can't be kept in the project: {error.strerror or error}",
                "name another place for it: --output FILE",
            ) from None
    if args.output:
        page.write(path, text)
    print(path)
    return _show(path) if args.open else 0


def _show(path: str) -> int:
    import webbrowser

    sys.stdout.flush()
    if webbrowser.open(Path(path).absolute().as_uri()):
        return 0
    print("hypervisor: no browser was found; open the file yourself", file=sys.stderr)
    return 1
