"""`hypervisor report`: one HTML file that shows a queue to whoever wants to look."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hypervisor.agents import reconcile, use
from hypervisor.cli import options
from hypervisor.cli.messages import complain
from hypervisor.cli.place import queue_and_root
from hypervisor.ledger import Ledger
from hypervisor.system.errors import HypervisorError
from hypervisor.system.text import shell

SUMMARY = "one HTML page: what was asked, what came out and what to do next"
EXAMPLE = "hypervisor report inbox --open"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_queue(parser)
    options.add_generation(parser)
    parser.add_argument(
        "--plain", action="store_true", help="for readers without hypervisor: no commands in it"
    )
    parser.add_argument("--open", action="store_true", help="show it in the browser")
    parser.add_argument(
        "--output", metavar="FILE", help="where to write it (default: .hypervisor/reports/)"
    )


def run(args: argparse.Namespace) -> int:
    """Write the page and print its path: 0, or 1 if --open finds no browser."""
    args.queue, root = queue_and_root(args.queue, "report")
    with Ledger.open(root, look=True) as ledger:
        reconcile.settle(ledger, limit=None, tell=True)
        use.collect_all(ledger, args.queue)
        path = written(ledger, args.queue, args.generation, plain=args.plain, output=args.output)
    print(path)
    return _show(path) if args.open else 0


def written(
    ledger: Ledger,
    name: str,
    generation: int | None = None,
    *,
    plain: bool = False,
    output: str | None = None,
) -> str:
    """Write the page on a queue, to `output` or where pages are kept; return its path."""
    from hypervisor.views import page

    queue = ledger.queues.get(name, generation)
    text = page.render(ledger, name, plain=plain, generation=queue.generation)
    if output is not None:
        page.write(output, text)
        return output
    try:
        return page.keep(ledger.state, queue, text, plain=plain)
    except OSError as error:
        raise HypervisorError(
            f"the page can't be kept in the project: {error.strerror or error}",
            "name another place for it: --output FILE",
        ) from None


def _show(path: str) -> int:
    import webbrowser

    sys.stdout.flush()
    if webbrowser.open(Path(path).absolute().as_uri()):
        return 0
    complain("no browser was found", f"open {shell(path)} yourself")
    return 1
