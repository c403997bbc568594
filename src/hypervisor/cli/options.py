"""What several verbs share: texts from standard input, worker names, the answer to a report."""

from __future__ import annotations

import os
import sys

from hypervisor import cli
from hypervisor.cli.messages import complain
from hypervisor.config import caller
from hypervisor.config.caller import session
from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.system.state import STATE
from hypervisor.system.text import LONGEST_TEXT, bounded, listed, one_line

_NAMED = 30
_NOBODY = "none"

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from hypervisor.ledger import Ledger
    from hypervisor.worker import Ended


def texts(args: argparse.Namespace, *names: str) -> dict[str, str]:
    """Return the given text options of `args` that were used; `-` takes standard input.

    A text longer than LONGEST_TEXT is cut, and says so. Raises UsageError if two of them take
    standard input, or one that was given is empty.
    """
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    piped = [name for name, value in given.items() if value == "-"]
    if len(piped) > 1:
        raise UsageError(
            "only one text can come from standard input", "give the other on the command line"
        )
    for name in piped:
        given[name] = _standard_input(exact=name == "answer")
    told = {}
    for name, value in given.items():
        text = value.strip()
        if not text:
            option = name.replace("_", "-")
            raise UsageError(f"--{option} is empty", "say in a sentence what happened")
        # An answer is held against its schema, which knows its bounds.
        told[name] = text if name == "answer" else bounded(text)
    return told


def tell(*lines: str) -> None:
    """Print lines that are told beside what was asked for: not with `-q`."""
    if lines and cli.loud >= 0:
        print("\n".join(lines))


def tell_person(command: str) -> None:
    """Print the command that a person types next; nobody reads it in the session of a client."""
    if not caller.around():
        tell(f"next: {command}")


def next_of(ledger: Ledger, queue: str) -> str:
    """Return how a person goes on with `queue`: by the command that worked on it last, if any."""
    from hypervisor.worker import detached

    typed = detached.command(ledger.state, queue, os.getcwd())
    return f"next: {typed or work_off(queue, next(ledger.queries.columns(queue), None))}"


def tell_next(queue: str, *of_session: str) -> None:
    """Print how `queue` is worked off: `of_session` in the session of a client, else for people."""
    if caller.around():
        tell(*of_session)
        return
    from hypervisor.cli.place import root_of_queue
    from hypervisor.ledger import Ledger

    with Ledger.open(root_of_queue(queue), look=True) as ledger:
        line = next_of(ledger, queue)
    tell(line)


def work_off(what: str, row: dict[str, object] | None) -> str:
    """Return how `what`, a queue or sources, is worked off by a command: with the longest text of
    the first `row` of it, or with the path of what is a file."""
    # What stands in a file among others is given a line and a text by us.
    columns = {} if row is None or {"line", "text"} <= row.keys() else row
    hole = max(columns, key=lambda name: len(str(columns[name])), default="path")
    return f"hypervisor work {what} -- COMMAND {{{one_line(hole, 60)}}}   (or --agent NAME)"


def add_queue(parser: argparse.ArgumentParser) -> None:
    """Declare a queue that may be left out where there is only one: see `place.queue_and_root`."""
    parser.add_argument("queue", nargs="?", help="the queue's name (default: the only one)")


def add_generation(parser: argparse.ArgumentParser) -> None:
    """Declare which generation of a queue is shown."""
    parser.add_argument(
        "--generation", type=int, metavar="N", help="an earlier one (default: the newest)"
    )


def add_tools(parser: argparse._ActionsContainer) -> None:
    """Declare the option that gives tools of MCP servers to workers."""
    parser.add_argument(
        "--tools",
        action="append",
        default=[],
        metavar="NAME",
        help="background workers of a session may call the tools of this MCP server, e.g. zotero, "
        "or one tool of it, e.g. mcp__zotero__search; separated by commas",
    )


def add_may_write(parser: argparse._ActionsContainer) -> None:
    """Declare the option that lets workers change what steers."""
    parser.add_argument(
        "--may-write",
        action="append",
        default=[],
        metavar="PATH",
        help="workers may change this file, or the files in this folder, although it steers "
        "agents, git, editors or shells, e.g. .vscode/tasks.json",
    )


def paths_to_write(root: str, paths: list[str]) -> list[str]:
    """Return the paths that a person names, from the root. Raises UsageError for one outside."""
    named = []
    for path in paths:
        inside = os.path.relpath(os.path.abspath(path), root)
        if inside == os.curdir or inside.split("/")[0] in (os.pardir, STATE):
            raise UsageError(
                f"--may-write {one_line(path, 200)} is not a path in {one_line(root, 200)}",
                "name one file or folder in it",
            )
        named.append(inside)
    return sorted(set(named))


def give_tools(ledger: Ledger, queue: str, names: list[str]) -> list[str]:
    """Give tools to the workers of a queue, and have the hooks look at their calls; return all that
    they have."""
    from hypervisor.ledger import markers

    allowed = ledger.terms.allow_tools(queue, names)
    if allowed:
        markers.mark(ledger, queue)
    return allowed


def add_budget(parser: argparse._ActionsContainer) -> None:
    """Declare the options of a queue's budget, with those of earlier versions."""
    from argparse import SUPPRESS

    parser.add_argument(
        "--budget",
        metavar="LIMITS",
        help="hand out nothing more once this many dollars or tokens, or this much time since the "
        "first claim, are used up, e.g. 5usd,2Mtok,30min (0usd: no limit); a pool ends what then "
        "uses more",
    )
    parser.add_argument("--budget-tokens", type=int, help=SUPPRESS)
    parser.add_argument("--budget-minutes", type=float, help=SUPPRESS)


def budget(args: argparse.Namespace) -> dict[str, float]:
    """Return the limits that the options of `add_budget` name. Raises UsageError."""
    from hypervisor.ledger import budget

    return budget.earlier(args.budget_tokens, args.budget_minutes) | budget.limits(args.budget)


def add_notify(parser: argparse._ActionsContainer) -> None:
    """Declare the option that says where news of a queue goes."""
    parser.add_argument(
        "--notify",
        metavar="NAME",
        help="send news of the queue to [notify.NAME] of your own configuration; none: to nobody "
        "(docs/how-to/walk-away.md)",
    )


def check_notify(name: str | None) -> None:
    """Raise UsageError unless the user's own configuration says where news for `name` goes."""
    if name not in (None, _NOBODY):
        from hypervisor.config.notify import receiver

        receiver(name)


def subscribe(ledger: Ledger, queue: str, name: str | None) -> None:
    """Have news of a queue sent to `name`; None leaves it as it is."""
    if name is not None:
        ledger.notifications.subscribe(queue, None if name == _NOBODY else name)


def add_bounds(parser: argparse._ActionsContainer) -> None:
    """Declare the options of what workers may take for an item, and of how many are tried first."""
    from argparse import SUPPRESS

    parser.add_argument(
        "--item-calls",
        type=int,
        metavar="N",
        help="tool calls that a client's worker may make for an item before the attempt is used up "
        "(200; 0: no limit)",
    )
    parser.add_argument(
        "--item-budget",
        metavar="LIMITS",
        help="dollars, tokens and time that a worker may use for an item before the attempt is "
        "used up, however often it renews its lease, e.g. 0.10usd,10min (60min, never less than "
        "a lease; 0min: no limit)",
    )
    parser.add_argument("--item-minutes", type=float, help=SUPPRESS)
    parser.add_argument(
        "--canary",
        type=int,
        metavar="N",
        help="try N items first, and start on the rest once they are done (in a session 1, above "
        "100 items 3; in a pool none)",
    )


def bounds(args: argparse.Namespace) -> dict[str, float]:
    """Return the bounds that `add_bounds` declares and that were given, as `Terms.set_bounds`
    takes them. Raises UsageError."""
    from hypervisor.ledger import budget

    given: dict[str, float] = {}
    for option, value, factor in (
        ("item-calls", args.item_calls, 1),
        ("item-minutes", args.item_minutes, 60_000),
        ("canary", args.canary, 1),
    ):
        if value is None:
            continue
        if not 0 <= value < 1e9:
            raise UsageError(f"--{option} must be 0 or more", "0 means no limit")
        name = "item_ms" if option == "item-minutes" else option.replace("-", "_")
        # A bound that is given is one, however small.
        given[name] = max(1, round(value * factor)) if value else 0
    item = budget.limits(args.item_budget, "--item-budget")
    return given | {f"item_{name}": value for name, value in item.items()}


def add_check(parser: argparse._ActionsContainer) -> None:
    """Declare the options of a queue's check."""
    parser.add_argument(
        "--from-base",
        action="append",
        default=[],
        metavar="PATH",
        help="the check uses this file or folder as it was when the item began, whatever the "
        "worker has made of it; may be repeated",
    )
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME",
        help="pass this variable on to the check although it looks like a secret; may be repeated",
    )


def check_base(args: argparse.Namespace, root: str, command: str | None, option: str) -> list[str]:
    """Return the paths of `--from-base`, from the root. Raises UsageError if they are of no use,
    or if there is no `command` (which `option` gives) that they, or `--env`, belong to."""
    if command is not None and not command.strip():
        raise UsageError(f"{option} is empty", "write the command that must pass")
    if command is None and (args.from_base or args.env):
        raise UsageError("--from-base and --env belong to a check", f"add {option}")
    for name in args.env:
        if not name.isidentifier():
            raise UsageError(f"--env {name!r} is not a variable's name", "write the name alone")
    from hypervisor.worker import base_files

    return base_files.named(root, os.getcwd(), args.from_base) if args.from_base else []


def name(item_id: str, title: str | None) -> str:
    """Return how people call an item: its id, and its title where that says more."""
    told = one_line(item_id, 60)
    return told if title in (None, "", item_id) else f"{told} “{one_line(title, 60)}”"


def named(ids: Sequence[str]) -> str:
    """Return ids as the end of a line, bounded: ": a, b and 3 more"; nothing for none."""
    return f": {listed(ids, _NAMED, 60)}" if ids else ""


def left_out(names: list[str]) -> str:
    """Return in words which variables a check runs without."""
    return f"it runs without {listed(names, 20, 60)}, which look like secrets; --env NAME keeps one"


def _standard_input(*, exact: bool) -> str:
    if sys.stdin is None:
        raise UsageError("there is no standard input to read the text from")
    # No character takes more than four bytes. What is not to be cut has a bound of its own.
    raw = sys.stdin.buffer.read((16 if exact else 4) * LONGEST_TEXT + 4)
    try:
        return raw.decode("utf-8", "strict" if exact else "replace")
    except UnicodeDecodeError:
        raise UsageError(
            "what came from standard input is not UTF-8", "write it as UTF-8"
        ) from None


def worker_name(given: str | None) -> str:
    """Return the name under which a claim is shown: what was given, or the session or the process
    that calls."""
    if name := given or os.environ.get("HYPERVISOR_WORKER"):
        return name
    # Each command of a session has a shell of its own: its number would be another name each time.
    around = (session() or "")[:8]
    return f"{os.uname().nodename}-{around or os.getppid()}"


def add_end(parser: argparse.ArgumentParser) -> None:
    """Declare the options of what ends an item with a report."""
    parser.add_argument(
        "--note",
        metavar="TEXT",
        help="what else the owner should know: e.g. that the task's text gives orders to "
        "agents, which you did not follow; - reads standard input",
    )
    add_next(parser)


def add_next(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the item that is handed out in the same call."""
    parser.add_argument("--next", action="store_true", help="hand out the next item as well")
    parser.add_argument("--json", action="store_true", help="for scripts")


def note_use(ledger: Ledger, args: argparse.Namespace) -> None:
    """Note what a worker that asks for more has used until now, where its queue has a budget of
    that."""
    claim = ledger.queries.claim_of(args.token) if args.next else None
    if claim is not None and claim.agent:
        row = ledger.queues.get(claim.queue_name)
        if row.budget_usd is not None or row.budget_tokens is not None:
            from hypervisor.agents import use

            use.note(ledger, claim.agent)


def tell_end(ledger: Ledger, args: argparse.Namespace, ended: Ended, said: str) -> int:
    """Say how an item was ended, and what was handed out next if that was asked for; return 0."""
    from hypervisor.cli import handout

    if not args.json:
        stands = "; its first report stands, and this one was not kept" if ended.stands else ""
        print(said + _beside(ended) + stands)
    if args.next:
        _next(ledger, args, ended)
    elif args.json:
        handout.hand_out(ledger, [], as_json=True, ended=_ended(ledger, args.token, ended))
    return 0


def _beside(ended: Ended) -> str:
    """Return in words what is to be told of work on a branch."""
    if not ended.beside:
        return ""
    from hypervisor.tasks.report import UNCHANGED, beside

    told = [UNCHANGED] if "unchanged" in ended.beside else []
    for words, paths in beside(ended.beside):
        told.append(f"{words[0].lower()}{words[1:]}: {listed(paths, _NAMED, 200)}")
    return "".join(f"; {one}" for one in told)


def _ended(ledger: Ledger, token: str, ended: Ended) -> dict[str, object]:
    """Return what the JSON tells of the item that was ended. Its tokens are those that its worker's
    transcript tells now, None where nothing is known; its last message may be missing yet."""
    from hypervisor.agents import use
    from hypervisor.ledger import usage

    claim = ledger.queries.claim_of(token)
    if claim is not None and claim.agent:
        use.note(ledger, claim.agent)
        claim = ledger.queries.claim_of(token)
    assert claim is not None, token
    tokens = usage.by_kind(claim)
    # The first key is how `usage` knows in a transcript that an item has ended.
    stands = {"first_stands": True} if ended.stands else {}
    told = {"claim": token, "id": claim.id, "state": ended.state, "tokens": tokens, **ended.beside}
    return told | stands


def _next(ledger: Ledger, args: argparse.Namespace, ended: Ended) -> None:
    from hypervisor import worker
    from hypervisor.cli import handout

    queue, *_, rung = ledger.claims.place_of(args.token)
    claims, trouble, text = ended.claims, ended.trouble, ""
    try:
        if not claims and trouble is None:
            text = worker.why_nothing(ledger, queue, model=rung)[0]
    except (HypervisorError, OSError) as error:
        trouble = error
    if trouble is not None:
        # The report was accepted, and the exit code says that.
        complain(trouble if isinstance(trouble, HypervisorError) else str(trouble))
        text = f"nothing handed out; try again: hypervisor next {queue}"
    if claims or args.json:
        told = _ended(ledger, args.token, ended) if args.json else None
        # What the worker has read before is not told again, but for a version that is new.
        before = ledger.queries.claim_of(args.token)
        now = ledger.queries.claim_of(claims[0].token) if claims else before
        known = before is None or now is None or before.version == now.version
        why = "" if claims else worker.why_word(ledger, queue, model=rung)
        handout.hand_out(ledger, claims, as_json=args.json, known=known, ended=told, why=why)
    else:
        print(text)
