"""`hypervisor open`: pre-flight sources and open a queue of what can run."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shlex
import sys
from contextlib import ExitStack

from hypervisor.agents import reconcile
from hypervisor.agents.boundaries import check_commands
from hypervisor.cli import open_again, open_for_agents, options
from hypervisor.cli import preflight as preflight_verb
from hypervisor.cli.messages import complain, note
from hypervisor.cli.place import ledger_at
from hypervisor.config import caller
from hypervisor.config.roots import create_state, find_root
from hypervisor.config.settings import Settings, load, seconds
from hypervisor.config.tools import check_grants
from hypervisor.ledger import Ledger, Opened, Options, budget
from hypervisor.ledger.check import USUAL, Check
from hypervisor.system.errors import UsageError
from hypervisor.system.spans import span
from hypervisor.system.text import count, one_line, shell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hypervisor.intake.preflight import Preflight

SUMMARY = "pre-flight sources and open a queue of what can run"
# What is skipped beside tasks that are done, and is nothing to work on either.
_BESIDE = {"duplicate", "malformed", "not_a_task"}
EXAMPLE = "hypervisor open inbox tasks --verify 'make test'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queue", help="a name for the queue; one at work gets these items added")
    add_options(parser)
    options.add_check(parser)
    options.add_notify(parser)
    parser.add_argument("--json", action="store_true", help="for scripts")


def add_options(parser: argparse._ActionsContainer) -> None:
    """Declare what a queue may be opened with, for `work` too."""
    preflight_verb.add_source_arguments(parser)
    parser.add_argument("--verify", metavar="CMD", help="a check that must pass before done")
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
        help="workers that may die while holding an item before it counts as failed (3)",
    )
    parser.add_argument(
        "--max-lost",
        type=int,
        metavar="N",
        help="leases that may run out before an item counts as failed (10)",
    )
    parser.add_argument(
        "--max-refusals",
        type=int,
        metavar="N",
        help="reports that the checks may refuse before the attempt is used up (3)",
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
    options.add_may_write(parser)
    parser.add_argument("--again", action="store_true", help="also redo what was accepted before")
    parser.add_argument(
        "--answer",
        metavar="FILE",
        help="a JSON schema (2020-12): each item done brings an answer that fits it, and "
        "`hypervisor results` has its columns",
    )
    parser.add_argument("--first", type=int, metavar="N", help="only the first N ready items")
    parser.add_argument(
        "--repeat",
        type=int,
        metavar="K",
        help="each row K times, with a column run that counts them",
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
        help="don't ask about the cost of up to N items",
    )


def run(args: argparse.Namespace) -> int:
    """Open the queue: 0 if it has items to work on, 1 if a source failed, 3 if nothing can run: a
    queue that there is stays as it is, and a new one is not opened."""
    if _names_only(args, "where"):
        code = open_again.narrow(args, root := find_root(), load(root))
    elif _names_only(args, "instructions"):
        code = open_again.instruct(args, find_root())
    else:
        return open_queue(args)
    if code == 0 and not args.json:
        options.tell_next(args.queue, _first_command(args.queue))
    return code


def _first_command(queue: str) -> str:
    return f"a worker's first command: hypervisor next {queue}"


def open_queue(
    args: argparse.Namespace, *, for_work: Callable[[Preflight], bool] | None = None
) -> int:
    """Open the queue, as `run` does; `for_work` only if each source can be read and it says so of
    what is ready, and where there is no task, rows and files are items without instructions if
    `args.agent` is a command and no format of tasks was named."""
    from hypervisor.intake import opening

    root = find_root()
    settings = load(root)
    for line in settings.raised:
        note(line)
    given = _options(args, root, settings)
    with ExitStack() as stack:
        ledger = stack.enter_context(ledger_at(root))
        open_for_agents.check(args, ledger, given.budget or {})
        over = _settle(ledger, args.queue)
        row = None if ledger is None else ledger.queues.find(args.queue)
        if ledger is not None and row is not None and args.id is None:
            args.id = _id_before(ledger, row.no, given.asked)
            given = given._replace(asked=preflight_verb.asked(args, root))
        instructions = preflight_verb.read_instructions(args)
        if for_work and instructions is None and row is not None:
            # A queue that goes on is worked off as it was opened.
            instructions = row.instructions
            args.all_are_items = args.all_are_items or instructions is not None
        checked, failed = preflight_verb.check(args, root, settings, ledger)
        whole = for_work and args.agent == "command" and args.format in (None, "rows")
        if whole and not failed and _no_task(checked):
            args.all_are_items = True
            checked, failed = preflight_verb.check(args, root, settings, ledger)
        # A tool that items lack is given to a queue, which has to be there for that.
        lacks_tool = any(entry.kind == "needs_tool" for entry in checked.held)
        if (not checked.ready and not lacks_tool) or (failed and for_work):
            # No queue is left behind of which `next` says that nothing is left.
            more = ledger is not None and row is not None and not ledger.queues.is_drained(row.no)
            return _not_opened(args, checked, failed, known=row is not None, more=more)
        beyond = max(0, len(checked.ready) - args.first) if args.first else 0
        if args.first:
            checked.take_first(args.first)
        if args.repeat:
            checked.repeat(args.repeat)
        if for_work and not for_work(checked):
            return 0
        if ledger is None:
            ledger = stack.enter_context(opening.create(root, settings))
        else:
            create_state(root)
        told = given._replace(instructions=instructions, over=over)
        opened = opening.fill(ledger, settings, args.queue, checked, told)
        if beyond:
            note(f"{count(beyond, 'item')} left out by --first")
        if args.tools:
            options.give_tools(ledger, args.queue, args.tools)
        options.subscribe(ledger, args.queue, args.notify)
        follows = (
            _first_command(args.queue) if caller.around() else options.next_of(ledger, args.queue)
        )
    _tell(opened, checked, args)
    if args.verify is not None:
        from hypervisor.cli.check import details

        shown = details(Check(USUAL, args.verify, args.env, list(given.check_base)))
        print("\n".join(["the check:", *shown]), file=sys.stderr)
    elif opened.is_new and opened.added and not args.json:
        options.tell(
            f"no check: done is each worker's own word; hypervisor check {args.queue} 'CMD' has a "
            "command prove it"
        )
    if failed:
        return 1
    if not (opened.added or opened.again or opened.present):
        return 3
    if not (for_work or args.json):
        options.tell(follows)
    return 0


def _id_before(ledger: Ledger, queue: int, asked: str) -> str | None:
    """Return the column that named the rows of these sources when they were opened before: by
    another name, each row would be new, and what was accepted of it done once more."""
    for before in reversed(ledger.queries.asked(queue)):
        words = shlex.split(before)
        if "--id" in words and _named_in(shlex.split(asked)) <= _named_in(words):
            column = words[words.index("--id") + 1]
            note(f"rows keep the ids that --id {one_line(shell(column), 60)} gave them")
            return column
    return None


def _named_in(asked: list[str]) -> set[str]:
    """Return the sources in what `preflight.asked` has told."""
    return set(map(os.path.normpath, itertools.takewhile(lambda word: word[:2] != "--", asked)))


def _options(args: argparse.Namespace, root: str, settings: Settings) -> Options:
    """Return what the queue is to be opened with, but for what stands in files and in the ledger.
    Raises UsageError."""
    lease = settings.limits.lease_seconds if args.lease is None else seconds(args.lease)
    if lease is None:
        raise UsageError(
            f"--lease {one_line(args.lease, 40)} is not a time", "write 90s, 15m or 2h"
        )
    for name in (
        "max_attempts", "max_deaths", "max_lost", "max_refusals", "yes_up_to", "first", "repeat",
    ):  # fmt: skip
        if (value := getattr(args, name)) is not None and not 1 <= value < 1e9:
            raise UsageError(f"--{name.replace('_', '-')} must be 1 or more")
    limits = options.budget(args)
    if args.ladder is not None:
        _climbs(args, limits.get("usd"))
    commands = check_commands(args.allow_command)
    named = options.paths_to_write(root, args.may_write)
    args.tools = check_grants(args.tools)
    options.check_notify(args.notify)
    bounds = options.bounds(args)
    usual = _usual_bounds(settings, lease)
    base = options.check_base(args, root, args.verify, "--verify CMD")
    open_for_agents.check_bounds(bounds, usual)
    return Options(
        verify=args.verify,
        check_env=args.env,
        check_base=base,
        max_attempts=args.max_attempts,
        max_deaths=args.max_deaths,
        max_lost=args.max_lost,
        max_refusals=args.max_refusals,
        lease_seconds=None if args.lease is None else lease,
        asked=preflight_verb.asked(args, root),
        scope=args.scope,
        commands=json.dumps(commands) if commands else None,
        may_write=json.dumps(named) if named else None,
        budget=limits,
        ladder=args.ladder,
        bounds=bounds,
        usual=usual,
        yes_up_to=args.yes_up_to,
        again=args.again,
        answer=None if args.answer is None else _schema(args.answer),
    )


def _no_task(checked: Preflight) -> bool:
    """True where nothing that was found is a task or was one."""
    return (
        not checked.ready
        and all(entry.kind == "instructions" for entry in checked.held)
        and all(entry.kind != "complete" for entry in checked.skipped)
    )


def _not_opened(
    args: argparse.Namespace, checked: Preflight, failed: bool, *, known: bool, more: bool
) -> int:
    """Say what was found instead of something to work on; return 1 if a source failed, else 3. The
    queue is `known` where there is one, and `more` says that something is left in it."""
    if args.json and failed:
        print(json.dumps(checked.to_json()))
    elif args.json:
        _tell(Opened(args.queue, 0), checked, args)
    elif checked.counts["total"] or not failed:
        print("\n".join(preflight_verb.told(args, checked)))
    counts = checked.counts
    skipped = checked.kinds()["skipped"]
    complete = skipped.pop("complete", 0)
    if (
        complete
        and not failed
        and skipped.keys() <= _BESIDE
        and counts["skipped"] == counts["total"]
    ):
        again = f"hypervisor undo {args.queue}, then the same command" if known else ""
        _tell_done(args, complete, again)
        return 3
    groups = [f"{counts[name]} {name}" for name in ("held", "broken", "skipped") if counts[name]]
    what = "nothing was added" if more else "no queue was opened"
    if failed:
        # Why was told as an error.
        note(what)
        return 1
    mends = counts["held"] or counts["broken"]
    hint = "fix what is listed, then run the same command" if mends else "hypervisor help formats"
    complain(f"{what}: {', '.join(groups) or 'there are no items'}", hint)
    return 3


def _names_only(args: argparse.Namespace, option: str) -> bool:
    """True where nothing is named but a queue and this."""
    others = vars(args).keys() - {"queue", option, "json"}
    return bool(getattr(args, option)) and not any(getattr(args, name) for name in others)


def _schema(path: str) -> str:
    """Return the schema of answers in a file, as it is kept. Raises UsageError."""
    from hypervisor.system import schemas
    from hypervisor.system.reading import NotReadable, read_file

    preflight_verb.refuse_led_out(path)
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
        if one.client == "command":
            raise UsageError("a command has no model", "leave its rung out of the ladder")
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


def _settle(ledger: Ledger | None, queue: str) -> frozenset[tuple[int, int]]:
    """See to housekeeping, since a file without its accepted report looks like open work; return
    what is over in the queue then."""
    if ledger is None:
        return frozenset()
    reconcile.settle(ledger, limit=None)
    return ledger.items.over(queue)


def _tell(opened: Opened, checked: Preflight, args: argparse.Namespace) -> None:
    """Print what was opened."""
    if args.json:
        told = {
            "queue": opened.queue,
            "generation": opened.generation,
            "added": opened.added,
            "present": opened.present,
            "again": opened.again,
            "accepted": opened.accepted,
            "elsewhere": [{"id": item, "queue": queue} for item, queue in opened.elsewhere],
            "preflight": checked.to_json(),
        }
        print(json.dumps(told, ensure_ascii=False))
        return
    options.tell(*preflight_verb.told(args, checked))
    if opened.accepted and opened.accepted == len(checked.ready):
        _tell_done(args, opened.accepted, "the same command with --again")
        return
    again = f", {opened.again} open again" if opened.again else ""
    present = f", {opened.present} already in it" if opened.present else ""
    left_out = f", {opened.accepted} left out: done before (--again)" if opened.accepted else ""
    print(f"queue {opened.queue}: {count(opened.added, 'item')} added{again}{present}{left_out}")
    for column, (before, now) in opened.changed.items():
        print(_change(column, before, now))
    for item, queue in opened.elsewhere[:20]:
        print(f"  held: {one_line(item, 60)} is open in queue {queue}")


def _tell_done(args: argparse.Namespace, number: int, again: str) -> None:
    """Say that all was done before, and how a person looks at it or has it done `again`; where that
    is empty, no queue of ours has done it."""
    if args.json:
        return
    which = {1: "the one item is", 2: "both items are"}.get(number, f"all {number:,} items are")
    print(f"nothing to do: {which} done already")
    if not caller.around():
        look = f"hypervisor results {args.queue}   (to do it again: {again})"
        options.tell(f"next: {look}" if again else "to do one again, reopen it where it is kept")


def _change(column: str, before: float | None, now: float | None) -> str:
    """Return in words what a limit of a queue is now, and was, by the option that sets it."""
    option = open_for_agents.OPTIONS.get(column, column)
    name = column.partition("_")[2] if "budget" in option else ""
    told = [
        ("none" if column == "canary" else "no limit")
        if not one
        else budget.words({name: one})
        if name
        else span(one / 1000)
        if column == "lease_ms"
        else f"{one:,}"
        for one in (now, before)
    ]
    return f"  from now on: --{option.replace('_', '-')} {told[0]} (it was {told[1]})"
