"""`hypervisor open`: pre-flight sources and open a queue of what can run."""

from __future__ import annotations

import argparse
import json
import os
import sys

from hypervisor.agents import reconcile
from hypervisor.agents.boundaries import check_commands
from hypervisor.cli import options
from hypervisor.cli import preflight as preflight_verb
from hypervisor.config import caller
from hypervisor.config.roots import find_root
from hypervisor.config.settings import Settings, load, seconds
from hypervisor.config.tools import check_grants
from hypervisor.ledger import Ledger, NoLedger, Opened, Options, budget
from hypervisor.ledger.check import USUAL, Check
from hypervisor.system.errors import NotAllowed, UsageError
from hypervisor.system.spans import span
from hypervisor.system.state import STATE
from hypervisor.system.text import count, either, one_line, shell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.intake.preflight import Preflight

# What options are called whose columns have another name.
_OPTIONS = {"lease_ms": "lease"} | {
    f"{of}_{name}": option
    for of, option in (("item", "item-budget"), ("budget", "budget"))
    for name in ("usd", "tokens", "ms")
}
SUMMARY = "pre-flight sources and open a queue of what can run"
EXAMPLE = "hypervisor open inbox tasks --verify 'make test'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `hypervisor open`."""
    parser.add_argument("queue", help="a name for the queue; one at work gets these items added")
    add_options(parser)
    options.add_check(parser)
    options.add_notify(parser)
    parser.add_argument("--json", action="store_true", help="for scripts")


def add_options(parser: argparse._ActionsContainer) -> None:
    """Declare what a queue may be opened with, for `work` too."""
    preflight_verb.add_source_arguments(parser)
    parser.add_argument("--verify", metavar="CMD", help="a check that must pass before done counts")
    parser.add_argument(
        "--files-from",
        metavar="KEY",
        help="the key or column that names the files an item touches (default: files or "
        "modified_files of a task); items that share one are never out at once",
    )
    parser.add_argument(
        "--max-attempts",
        type=int,
        metavar="N",
        help="failed attempts before an item counts as failed",
    )
    parser.add_argument(
        "--max-deaths",
        type=int,
        metavar="N",
        help="workers that may die while they hold an item, alone or with their pool (3)",
    )
    parser.add_argument(
        "--max-lost", type=int, metavar="N", help="leases of an item that may run out (10)"
    )
    parser.add_argument(
        "--max-refusals",
        type=int,
        metavar="N",
        help="reports of one claim that its checks may refuse before that uses up the attempt (3)",
    )
    parser.add_argument(
        "--lease", metavar="TIME", help="how long a claim lives without a heartbeat, e.g. 15m"
    )
    parser.add_argument(
        "--scope",
        choices=["named"],
        help="named: workers may change only the files that their task names",
    )
    parser.add_argument(
        "--allow-command",
        action="append",
        default=[],
        metavar="WORDS",
        help="headless workers may run command lines that begin with this, e.g. 'npm test'",
    )
    parser.add_argument(
        "--may-write",
        action="append",
        default=[],
        metavar="PATH",
        help="workers may change this file, or what is in this folder, although it steers agents, "
        "git, editors or shells, e.g. .vscode/tasks.json",
    )
    parser.add_argument("--again", action="store_true", help="also redo what was accepted before")
    parser.add_argument(
        "--answer",
        metavar="FILE",
        help="a JSON schema (2020-12): each item done brings an answer that fits it, and "
        "`hypervisor results` has its columns",
    )
    parser.add_argument(
        "--first", type=int, metavar="N", help="only the first N items of those that are ready"
    )
    parser.add_argument(
        "--repeat", type=int, metavar="K", help="each row K times, with a column run from 1 to K"
    )
    options.add_tools(parser)
    options.add_budget(parser)
    options.add_bounds(parser)
    parser.add_argument(
        "--ladder",
        metavar="MODELS",
        help="an item starts with the first of these models, and each failed attempt takes it to "
        "the next: [CLIENT:]MODEL,…, e.g. haiku,sonnet,opus; after the last, it has failed",
    )
    parser.add_argument(
        "--yes-up-to",
        type=int,
        metavar="N",
        help="don't ask about the cost while the queue has up to N items",
    )


def run(args: argparse.Namespace) -> int:
    """Open the queue: 0 if it has items to work on, 1 if a source failed, 3 if nothing can run: a
    queue that there is stays as it is, and a new one is not opened."""
    code = open_queue(args)
    if code == 0 and not args.json:
        options.tell_next(args.queue, f"a worker's first command: hypervisor next {args.queue}")
    return code


def open_queue(args: argparse.Namespace, *, for_work: bool = False) -> int:
    """Open the queue, as `run` does; `for_work` only if each source can be read, and where there is
    no task, rows and files are items without instructions if `args.agent` is a command."""
    from hypervisor.intake import opening

    root = find_root()
    settings = load(root)
    if _names_only(args, "where"):
        return _narrow(args, root, settings)
    if _names_only(args, "instructions"):
        return _instruct(args, root)
    for line in settings.raised:
        print(f"hypervisor: {line}", file=sys.stderr)
    lease = settings.limits.lease_seconds if args.lease is None else seconds(args.lease)
    if lease is None:
        raise UsageError(
            f"--lease {one_line(args.lease, 40)} is not a time", "write 90s, 15m or 2h"
        )
    for name in (
        "max_attempts", "max_deaths", "max_lost", "max_refusals", "yes_up_to", "first", "repeat",
    ):  # fmt: skip
        if (value := getattr(args, name)) is not None and not 1 <= value < 1e9:
            raise UsageError(f"--{name.replace('_', '-')} takes a number from 1 up")
    if args.ladder is not None:
        _climbs(args, options.budget(args).get("usd"))
    commands = check_commands(args.allow_command)
    named = _from_root(root, args.may_write)
    args.tools = check_grants(args.tools)
    options.check_notify(args.notify)
    limits = options.budget(args)
    bounds = options.bounds(args)
    usual = _usual_bounds(settings, lease)
    base = options.check_base(args, root, args.verify, "--verify CMD")
    _not_for_agents(args, root, limits)
    _not_more_for_agents(bounds, usual)
    answer = None if args.answer is None else _schema(args.answer)
    _settle(root)
    checked, failed = preflight_verb.check(args, root, settings)
    if for_work and args.agent == "command" and not failed and _no_task(checked):
        args.all_are_items = True
        checked, failed = preflight_verb.check(args, root, settings)
    # A tool that items lack is given to a queue, which has to be there for that.
    lacks_tool = any(entry.kind == "needs_tool" for entry in checked.held)
    if (not checked.ready and not lacks_tool) or (failed and for_work):
        # No queue is left behind of which `next` says that nothing is left.
        return _not_opened(args, checked, failed)
    beyond = max(0, len(checked.ready) - args.first) if args.first else 0
    if args.first:
        checked.take_first(args.first)
    if args.repeat:
        checked.repeat(args.repeat)
    opened = opening.open_queue(
        root,
        settings,
        args.queue,
        checked,
        Options(
            instructions=preflight_verb.read_instructions(args),
            verify=args.verify,
            check_env=args.env,
            check_base=base,
            max_attempts=args.max_attempts,
            max_deaths=args.max_deaths,
            max_lost=args.max_lost,
            max_refusals=args.max_refusals,
            lease_seconds=None if args.lease is None else lease,
            asked=preflight_verb.asked(args),
            scope=args.scope,
            commands=json.dumps(commands) if commands else None,
            may_write=json.dumps(named) if named else None,
            budget=limits,
            ladder=args.ladder,
            bounds=bounds,
            usual=usual,
            yes_up_to=args.yes_up_to,
            again=args.again,
            answer=answer,
        ),
    )
    if beyond:
        print(f"hypervisor: {count(beyond, 'item')} left out by --first", file=sys.stderr)
    if args.tools:
        options.give_tools(root, args.queue, args.tools)
    if args.notify is not None:
        with Ledger.open(root) as ledger:
            options.subscribe(ledger, args.queue, args.notify)
    _tell(opened, checked, args)
    if args.verify is not None:
        from hypervisor.cli.check import details

        told = details(Check(USUAL, args.verify, args.env, base))
        print("\n".join(["the check:", *told]), file=sys.stderr)
    elif opened.is_new and opened.added and not args.json:
        options.tell(
            f"no check: done is each worker's own word; hypervisor check {args.queue} 'CMD' has a "
            "command prove it"
        )
    if failed:
        return 1
    return 0 if opened.added or opened.present else 3


def _no_task(checked: Preflight) -> bool:
    """True where nothing that was found is a task or was one."""
    return (
        not checked.ready
        and all(entry.kind == "instructions" for entry in checked.held)
        and all(entry.kind != "complete" for entry in checked.skipped)
    )


def _not_opened(args: argparse.Namespace, checked: Preflight, failed: bool) -> int:
    """Say what was found instead of something to work on; return 1 if a source failed, else 3."""
    if args.json and failed:
        print(json.dumps(checked.to_json()))
    elif args.json:
        _tell(Opened(args.queue, 0), checked, args)
    else:
        print("\n".join(preflight_verb.told(args, checked)))
    counts = checked.counts
    groups = [f"{counts[name]} {name}" for name in ("held", "broken", "skipped") if counts[name]]
    why = "a source can't be read" if failed else ", ".join(groups) or "there are no items"
    print(f"hypervisor: no queue was opened: {why}", file=sys.stderr)
    return 1 if failed else 3


def _names_only(args: argparse.Namespace, option: str) -> bool:
    """True where nothing is named but a queue and this."""
    others = vars(args).keys() - {"queue", option, "json"}
    return bool(getattr(args, option)) and not any(getattr(args, name) for name in others)


def _instruct(args: argparse.Namespace, root: str) -> int:
    """Give the queue other instructions: 0, or 3 if nobody is left who would read them."""
    text = preflight_verb.read_instructions(args)
    assert text is not None
    with Ledger.open(root) as ledger:
        reconcile.settle(ledger, limit=None)
        version = ledger.terms.set_instructions(args.queue, text)
        counts = ledger.queues.stats(args.queue)
    unclaimed = counts["ready"] + counts["waiting"]
    if args.json:
        told = {"queue": args.queue, "version": version, "for": unclaimed,
                "at_work": counts["claimed"]}  # fmt: skip
        print(json.dumps(told))
        return 0 if unclaimed else 3
    print(
        f"instructions of {args.queue}, version {version}: “{one_line(text, 100)}”, for "
        f"{count(unclaimed, 'item')} that nobody has claimed yet"
    )
    if counts["claimed"]:
        print(f"{count(counts['claimed'], 'item')} at work keep the version that they began with")
    return 0 if unclaimed else 3


def _schema(path: str) -> str:
    """Return the schema of answers in a file, as it is kept. Raises UsageError."""
    from hypervisor.system import schemas
    from hypervisor.system.reading import NotReadable, read_file

    try:
        text = read_file(path, schemas.LARGEST)[0].decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{one_line(path)}: not UTF-8", "convert the file to UTF-8") from None
    except NotReadable as error:
        raise UsageError(f"{one_line(path)}: {error.what}", error.fix) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{one_line(path)}: {reason}", "name a file with a JSON schema") from None
    return schemas.load(text, path)


def _narrow(args: argparse.Namespace, root: str, settings: Settings) -> int:
    from hypervisor.intake import narrowing, opening
    from hypervisor.ledger import markers

    with Ledger.open(root) as ledger:
        reconcile.settle(ledger, limit=None)
        told = narrowing.narrow(ledger, settings, args.queue, args.where)
        if told.back:
            markers.mark(ledger, args.queue)
            opening.attend(ledger, args.queue)
    if args.json:
        groups = {name: getattr(told, name) for name in ("left", "aside", "at_work", "back")}
        print(json.dumps({"queue": args.queue, "where": args.where, **groups}, ensure_ascii=False))
        return 0 if told.left else 3
    are = either(len(told.left), "is", "are")
    those = f"{count(len(told.left), 'item')} of {args.queue} {are}"
    print(f"{those} left to work on{options.named(told.left)}")
    if told.aside:
        print(f"{len(told.aside)} set aside{options.named(told.aside)}")
    if told.aside and not told.left:
        from hypervisor.intake.preflight.where import Where
        from hypervisor.system.text import one_line, shell

        for key in Where(args.where).keys:
            line = f"hypervisor open {args.queue} --where {shell(f'{key}=')}"
            print(f"those without {one_line(key, 40)} match no comparison; they alone: {line}")
    if told.at_work:
        print(
            f"{len(told.at_work)} don't match, but a worker has them: they go on, and are set "
            f"aside if they come back{options.named(told.at_work)}"
        )
    if told.back:
        print(f"{len(told.back)} came back{options.named(told.back)}")
    if told.aside or told.at_work:
        print(f"all of them back: hypervisor open {args.queue} --where all")
    return 0 if told.left else 3


def _from_root(root: str, paths: list[str]) -> list[str]:
    """Return the paths that a person names, from the root. Raises UsageError for one outside."""
    named = []
    for path in paths:
        inside = os.path.relpath(os.path.abspath(path), root)
        if inside == os.curdir or inside.split("/")[0] in (os.pardir, STATE):
            raise UsageError(
                f"--may-write {one_line(path, 200)} is no path in {one_line(root, 200)}",
                "name one file or folder in it",
            )
        named.append(inside)
    return sorted(set(named))


def _not_for_agents(args: argparse.Namespace, root: str, limits: dict[str, float]) -> None:
    """Raise NotAllowed where an agent would let workers run, reach or spend more: the user decides
    about that, and is asked by verbs of their own."""
    if not caller.around():
        return
    queue, instead = args.queue, ""
    if args.verify is not None:
        what, instead = "--verify", f"hypervisor check {queue} {shell(args.verify)}"
        instead += "".join(f" --from-base {shell(path)}" for path in args.from_base)
        instead += "".join(f" --env {name}" for name in args.env)
    elif args.may_write:
        raise NotAllowed(
            "--may-write is for the user to decide, not for a session",
            "open the queue without it; the user may open it with that in a terminal",
        )
    elif args.allow_command:
        words = " ".join(shell(command) for command in args.allow_command)
        what, instead = "--allow-command", f"hypervisor allow {queue} {words}"
    elif args.tools:
        what, instead = "--tools", f"hypervisor allow {queue} --tools {','.join(args.tools)}"
    elif limits and _raised(root, queue, limits):
        what = "a larger budget"
        instead = f"hypervisor allow {queue} --budget {budget.words(limits)}"
    if instead:
        raise NotAllowed(
            f"{what} is for the user to decide, not for a session",
            f"open the queue without it, then run this, which asks the user: {instead}",
        )


def _climbs(args: argparse.Namespace, usd: float | None) -> None:
    """Have an item fail after the last rung of the ladder. Raises UsageError for a ladder that is
    none, has more rungs than attempts, or a rung whose price nobody knows where that has to be."""
    from hypervisor.agents.clients import CLIENTS
    from hypervisor.ledger import ladder

    known = ladder.rungs(args.ladder)
    for one in known:
        if one.client not in (None, *CLIENTS):
            raise UsageError(
                f"no client is called {one_line(one.client, 40)}", f"known: {', '.join(CLIENTS)}"
            )
        if usd:
            budget.check_price(args.queue, one.model, one.word)
    if args.max_attempts is None:
        args.max_attempts = len(known)
    elif args.max_attempts < len(known):
        raise UsageError(
            f"--max-attempts {args.max_attempts} is less than the rungs of the ladder",
            f"leave it out, or make it {len(known)} or more",
        )


def _usual_bounds(settings: Settings, lease: float) -> dict[str, int]:
    """Return what workers may take for an item where nobody says: a lease is never cut short."""
    limits = settings.limits
    ms = max(limits.item_minutes * 60_000, round(lease * 1000))
    return {"item_calls": limits.item_calls, "item_ms": ms}


def _not_more_for_agents(bounds: dict[str, float], usual: dict[str, int]) -> None:
    """Raise NotAllowed where an agent would let workers take more for an item than is usual, or
    start on all items with none tried."""
    if not caller.around():
        return
    for name, value in bounds.items():
        most = usual.get(name)
        if value == 0 or (most is not None and value > most):
            option = "--" + _OPTIONS.get(name, name.replace("_", "-"))
            raise NotAllowed(
                f"a higher bound by {option} is for the user to decide, not for a session",
                "open the queue without it; the user may open it with that in a terminal",
            )


def _raised(root: str, queue: str, limits: dict[str, float]) -> bool:
    try:
        with Ledger.open(root) as ledger:
            at_work = next((row for row in ledger.queues.all() if row.name == queue), None)
            return (
                at_work is not None
                and at_work.state in ("open", "paused")
                and not ledger.queues.drained(queue)
                and budget.raised(at_work, limits)
            )
    except NoLedger:
        return False


def _settle(root: str) -> None:
    """See to housekeeping: a file without its accepted report looks like open work."""
    try:
        with Ledger.open(root) as ledger:
            reconcile.settle(ledger, limit=None)
    except NoLedger:
        pass


def _tell(opened: Opened, checked: Preflight, args: argparse.Namespace) -> None:
    """Print what was opened."""
    if args.json:
        told = {
            "queue": opened.queue,
            "generation": opened.generation,
            "added": opened.added,
            "present": opened.present,
            "accepted": opened.accepted,
            "elsewhere": [{"id": item, "queue": queue} for item, queue in opened.elsewhere],
            "preflight": checked.to_json(),
        }
        print(json.dumps(told, ensure_ascii=False))
        return
    options.tell(*preflight_verb.told(args, checked))
    present = f", {opened.present} already in it" if opened.present else ""
    left_out = f", {opened.accepted} left out: done before (--again)" if opened.accepted else ""
    print(f"queue {opened.queue}: {count(opened.added, 'item')} added{present}{left_out}")
    for column, (before, now) in opened.changed.items():
        print(_change(column, before, now))
    for item, queue in opened.elsewhere[:20]:
        print(f"  held: {one_line(item, 60)} is open in queue {queue}")


def _change(column: str, before: float | None, now: float | None) -> str:
    """Return in words what a limit of a queue is now, and was, by the option that sets it."""
    option = _OPTIONS.get(column, column)
    name = column.partition("_")[2] if "budget" in option else ""
    told = [
        "no limit"
        if not one
        else budget.words({name: one})
        if name
        else span(one / 1000)
        if column == "lease_ms"
        else f"{one:,}"
        for one in (now, before)
    ]
    return f"  from now on: --{option.replace('_', '-')} {told[0]} (it was {told[1]})"
