"""`hypervisor work`: a pool of headless agents on a queue."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from hypervisor import worker
from hypervisor.agents import retention
from hypervisor.agents.client import Headless, Unfit
from hypervisor.agents.clients import CLIENTS, Client, client
from hypervisor.cli import messages, options, work_on
from hypervisor.cli import open as open_verb
from hypervisor.cli.place import root_of_queue
from hypervisor.cli.status import told_of
from hypervisor.cli.workers import shown
from hypervisor.config import caller
from hypervisor.config.roots import find_root
from hypervisor.intake.preflight import Preflight
from hypervisor.ledger import Claim, Ledger, NewItem, budget, ladder
from hypervisor.system.errors import HypervisorError, NothingLeft, UsageError
from hypervisor.system.spans import until
from hypervisor.system.text import count, escaped, listed, one_line, shell
from hypervisor.worker import detached

SUMMARY = "run a command or headless agents on a queue, or on a source in one call"
EXAMPLE = "hypervisor work prompts.csv --workers 4 -- ./answer.sh {prompt}"
USAGE = (
    "hypervisor work QUEUE|SOURCE… -- COMMAND {path}\n"
    "       hypervisor work QUEUE|SOURCE… --agent NAME [OPTIONS] [-- WORDS…]\n"
    "       hypervisor work QUEUE --attach"
)
# What stands behind `--` is not ours to read.
TAKES_WORDS = True

_BRANCHING = [name for name in CLIENTS if not client(name).no_branch]
_OF_SOURCES = "with SOURCE, as for `hypervisor open`"
_TRIES = 3
_ITEMS_EACH = 10
_TURNS_PER_ITEM = 40
_SHOWN = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = USAGE
    parser.epilog = (
        "A SOURCE is first opened as a queue named after it, without the suffix; the same command "
        "again continues that queue.\n\nWORDS are the command line of --agent command, one "
        "process per item, without a shell: "
        "{path}, {id}, {title}, {token}, {queue} and the columns of a row are replaced in them, "
        "but not in code that a shell or an interpreter is given; {{name}} is {name} as it is. "
        "For the other agents they are added to the client's command line."
    )
    # An option that both have is our own.
    parser.conflict_handler = "resolve"
    open_verb.add_options(parser.add_argument_group(_OF_SOURCES))
    parser.add_argument(
        "--agent",
        choices=tuple(CLIENTS),
        help="who works (default, where words follow --: command)",
    )
    parser.add_argument(
        "--queue",
        metavar="NAME",
        help="the queue's name; with SOURCE, the name of the queue to open",
    )
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="how many work at a time (default 1)"
    )
    parser.add_argument(
        "--items-per-agent",
        type=int,
        metavar="K",
        help=f"items before a fresh agent takes over (default {_ITEMS_EACH}; a command gets one)",
    )
    parser.add_argument(
        "--max-minutes",
        type=float,
        default=60,
        metavar="M",
        help="minutes that one agent may take (default 60)",
    )
    parser.add_argument(
        "--max-turns",
        type=int,
        metavar="T",
        help=f"turns an agent may take with its model (default {_TURNS_PER_ITEM} per item)",
    )
    parser.add_argument("--model", metavar="NAME", help="the model, as the client calls it")
    parser.add_argument(
        "--force",
        action="store_true",
        help="command: accept tasks with open boxes; the report says so",
    )
    parser.add_argument(
        "--branch",
        action="store_true",
        help=f"{', '.join(_BRANCHING)}: each item on a branch, in a working tree of its own "
        "(docs/branches.md)",
    )
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME",
        help="command: pass this variable to it, e.g. a key; may be repeated",
    )
    parser.add_argument(
        "--keep-order",
        action="store_true",
        help="command: print what each item printed, in the order in which they were started",
    )
    parser.add_argument(
        "--halt", type=int, metavar="N", help="command: start nothing more after N failures"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help=f"command: only show the first {_SHOWN} command lines",
    )
    options.add_notify(parser)
    parser.add_argument(
        "--detach",
        action="store_true",
        help="continue in the background, independent of this terminal and session, until the "
        "queue has drained; one pool at most",
    )
    parser.add_argument(
        "--attach", action="store_true", help="show the log of the detached pool as it grows"
    )
    parser.add_argument("--detached", type=int, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Work the queue off: 0 if the queue has drained and everything is done, 1 if something is
    left, failed or was blocked, 2 if there is no such queue or source, 3 if nothing was handed
    out."""
    if args.attach:
        from hypervisor.cli.attach import attach

        queue, _ = work_on.chosen(args.sources, args.queue)
        return attach(root_of_queue(queue), queue)
    if args.agent is None and not args.words:
        raise UsageError(
            "no command and no agent is given", "add -- COMMAND {path}, or --agent NAME"
        )
    args.agent = args.agent or "command"
    items = _ITEMS_EACH if args.items_per_agent is None else args.items_per_agent
    for value, name, most in ((args.workers, "workers", 64), (items, "items-per-agent", 1000)):
        if not 1 <= value <= most:
            raise UsageError(f"--{name} takes a number from 1 to {most}")
    if not 0 < args.max_minutes <= 1440:
        raise UsageError("--max-minutes must be more than 0 and at most 1440")
    turns = _TURNS_PER_ITEM * items if args.max_turns is None else args.max_turns
    if turns < 1:
        raise UsageError("--max-turns must be 1 or more")
    chosen = client(args.agent)
    _check_fit(chosen, (), branch=args.branch)
    for option in ("halt", "keep_order", "dry_run"):
        if getattr(args, option) and args.agent != "command":
            raise UsageError(f"--{option.replace('_', '-')} is for --agent command")
    if args.halt is not None and args.halt < 1:
        raise UsageError("--halt must be 1 or more")
    options.check_notify(args.notify)
    args.queue, args.sources = work_on.chosen(args.sources, args.queue)
    if not args.sources and (given := _of_sources(args)):
        raise UsageError(
            f"{given[0]} is for sources, and {args.queue} is a queue",
            f"name its sources as well, or see: hypervisor status {args.queue}",
        )
    if args.sources and not (args.dry_run and work_on.has_more(args.queue)):
        agents = chosen.headless(model=args.model, turns=turns, words=args.words)
        agents.check(find_root())

        def fit(checked: Preflight) -> bool:
            agents.check_names(entry.payload for entry in checked.ready)
            if args.dry_run:
                new = (NewItem(one.id, one.path, title=one.title, payload=one.payload)
                       for one in checked.ready)  # fmt: skip
                _rehearse(new, args.queue, agents)
            return not args.dry_run

        args.all_are_items = args.agent == "command" and "-" in args.sources
        # A variable that is kept is the command's here, not a check's.
        opened = {**vars(args), "env": [], "from_base": [], "json": False}
        code = open_verb.open_queue(argparse.Namespace(**opened), for_work=fit)
        if code == UsageError.exit_code and (near := work_on.near(args.sources[0])):
            messages.note(f"there is a queue {near}")
        if args.dry_run or code in (1, 2) or (code and not work_on.has_more(args.queue)):
            return code
        sys.stdout.flush()
    with Ledger.open(root_of_queue(args.queue)) as ledger:
        if args.detached is not None:
            detached.inherited(ledger.state, args.queue, args.detached)
        code, why = 1, "it went wrong; see its log"
        try:
            code, why = _work(args, ledger, items, turns)
        finally:
            if args.detached is not None:
                detached.ended(ledger.state, args.queue, code, why)
    return code


def _check_fit(chosen: Client, granted: Sequence[str], *, branch: bool) -> None:
    """Raise UsageError for what a client can't keep: a `branch` for each item, or the commands that
    a queue has `granted`."""
    if branch and chosen.no_branch:
        raise UsageError(
            f"--branch is for --agent {', '.join(_BRANCHING)}",
            f"{chosen.title}: {chosen.no_branch}",
        )
    if granted and chosen.no_commands:
        words = " ".join(shell(command) for command in granted)
        raise UsageError(
            f"{chosen.title} can't keep --allow-command {words}: {chosen.no_commands}",
            "open the queue without it, or take another --agent",
        )


def _work(args: argparse.Namespace, ledger: Ledger, items: int, turns: int) -> tuple[int, str]:
    """Work the queue off, or have it worked off; return the exit code, and why it is over."""
    from hypervisor.agents.pool import detach
    from hypervisor.agents.pool.pool import Pool
    from hypervisor.views.summary import summarize
    from hypervisor.views.summary_text import lines

    row = ledger.queues.get(args.queue)
    if ledger.queues.drained(args.queue):
        print(worker.why_nothing(ledger, args.queue)[0])
        if not caller.around():
            counts = ledger.queues.stats(args.queue)
            options.tell(told_of(ledger, args.queue), _looks(args.queue, counts["done"],
                         counts["failed"] + counts["blocked"]))  # fmt: skip
        return NothingLeft.exit_code, "drained"
    climbs = row.ladder if args.model is None and args.agent != "command" else None
    wanted, rung = [(args.agent, args.model)], None
    if climbs:
        wanted = [(one.client or args.agent, one.model) for one in ladder.rungs(climbs)]
    elif row.ladder and args.model is not None:
        rung = ladder.of_client(row.ladder, args.agent, args.model)
        wanted = [(args.agent, rung.model)]
    granted = json.loads(row.commands or "[]")
    for name in dict.fromkeys(name for name, _ in wanted):
        _check_fit(client(name), granted, branch=args.branch)
    clients = [
        client(name).headless(model=model, turns=turns, words=args.words) for name, model in wanted
    ]
    for agents in clients:
        if row.budget_usd is not None or row.item_usd is not None:
            budget.check_price(args.queue, agents.model, f"--agent {agents.name}")
        agents.check(ledger.root)
        agents.check_names(ledger.queries.columns(args.queue))
    agents = clients[0]
    withheld = agents.hand_on(args.env)
    if args.dry_run:
        rows = ledger.items.next_rows(args.queue, _SHOWN)
        new = (NewItem(row.id, row.path, title=row.title, payload=json.loads(row.payload or "null"))
               for row in rows)  # fmt: skip
        _rehearse(new, args.queue, agents)
        return 0, ""
    if withheld:
        told = f"the command runs without {listed(withheld, 20, 60)}"
        messages.note(f"{told}; --env NAME passes one on")
    options.subscribe(ledger, args.queue, args.notify)
    if args.detach:
        return _detach(args, ledger), ""
    session = None
    if args.detached is None:
        # Held for the life of the process.
        detached.beside(ledger.state, args.queue, detach.typed(_given(args), args.words))
    elif made := detached.find(ledger.state, args.queue):
        session = made.id
    with shown(args.queue) as show:
        pool = Pool(
            ledger,
            args.queue,
            agents,
            workers=args.workers,
            items_each=items,
            seconds=args.max_minutes * 60,
            force=args.force,
            branch=args.branch,
            rungs=clients if climbs else (),
            model=rung.word if rung is not None else None,
            halt=args.halt,
            printed=_printer(ledger) if args.keep_order else None,
            show=show,
            session=session,
            stays=args.detached is not None,
        )
        why = pool.run()
    summary = summarize(ledger, args.queue)
    if why == "idle" and ledger.queues.drained(args.queue):
        # What others had in hand has ended meanwhile.
        why, summary = "drained", summarize(ledger, args.queue)
    row = ledger.queues.get(args.queue)
    goes_on = budget.goes_on(ledger, row)
    nothing = worker.why_nothing(ledger, args.queue, ready=", taken by none of them")[0]
    gone = worker.why_word(ledger, args.queue) == "world"
    page = _page(ledger, args.queue) if pool.had_items else ""
    print("\n".join(lines(summary, brief=True)))
    for note in pool.notes:
        messages.note(note)
    counts = summary["counts"]
    bad = counts["failed"] + counts["blocked"]
    end = (
        [_next(args, why, pool.cause or pool.not_done, row.resume_at, nothing, goes_on)]
        if why != "drained"
        else []
    )
    if caller.around():
        end += [f"more: hypervisor summary {args.queue} --json"] if why == "drained" else []
    elif page:
        # Where it goes on, that comes first, and is said.
        looks = [_looks(args.queue, counts["success"], bad)] if why == "drained" else []
        end += [page, *looks]
    options.tell(*end)
    nothing_to_do = (why == "idle" and not gone) or (why == "paused" and not pool.begun)
    if nothing_to_do and not pool.had_items:
        return NothingLeft.exit_code, why
    return int(why != "drained" or bool(bad)), why


def _looks(queue: str, done: int, bad: int) -> str:
    """Return a person's next commands on a queue that has drained."""
    verbs = ["retry" if bad else "results", *(["review"] if done else [])]
    first = ", ".join(f"hypervisor {verb} {queue}" for verb in verbs)
    return f"next: {first} or hypervisor report {queue} --open"


def _detach(args: argparse.Namespace, ledger: Ledger) -> int:
    """Start a pool that goes on by itself, unless one is at work."""
    from hypervisor.agents.pool import detach

    queue = args.queue
    for _ in range(_TRIES):
        made = detach.start(ledger.state, queue, _given(args), args.words)
        known = made or detached.find(ledger.state, queue)
        # One may have been at its end in between.
        if known is not None and known.alive:
            break
    else:
        raise UsageError(
            f"a pool is at work on {queue} in another terminal",
            "end it there first: Ctrl-C lets it finish what it has",
        )
    word = "works on" if made else "is already at work on"
    print(f"{known.id} {word} {queue}; its log: {known.log}")
    options.tell(f"follow it: hypervisor work {queue} --attach; end it: hypervisor pause {queue}")
    return 0


def _given(args: argparse.Namespace) -> list[str]:
    """Return the options of a pool that were given, as they are typed: the queue is open, and its
    sources have no part any more."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    [group] = [one for one in parser._action_groups if one.title == _OF_SOURCES]
    own = [one for one in parser._actions if one not in group._group_actions]
    line = []
    for action in own:
        value = getattr(args, action.dest, action.default)
        if not action.option_strings or value == action.default or action.dest == "detach":
            continue
        if action.dest == "agent" and value == "command" and args.words:
            # Who works goes without saying there.
            continue
        for one in value if isinstance(value, list) else [value]:
            word = f"{one:g}" if isinstance(one, float) else str(one)
            line += [action.option_strings[0], *([] if one is True else [word])]
    return line


def _of_sources(args: argparse.Namespace) -> list[str]:
    """Return the options that were given and are about sources alone."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    [group] = [one for one in parser._action_groups if one.title == _OF_SOURCES]
    return [
        action.option_strings[0]
        for action in group._group_actions
        if action.option_strings and getattr(args, action.dest) != action.default
    ]


def _page(ledger: Ledger, queue: str) -> str:
    """Write the page on what came out, and return where it is told to be."""
    from hypervisor.cli.report import written

    try:
        return f"page: {os.path.relpath(written(ledger, queue))}"
    except (HypervisorError, OSError) as error:
        return f"no page was written: {error}"


def _rehearse(items: Iterable[NewItem], queue: str, agents: Headless) -> None:
    """Show the command lines of the first of these items."""
    for item in islice(items, _SHOWN):
        try:
            messages.exactly(shell(agents.rehearse(item, queue)))
        except Unfit as unfit:
            print(f"{one_line(item.id, 60)} would be blocked: {unfit}")


def _printer(ledger: Ledger) -> Callable[[Claim], None]:
    """Return what prints what the command of a claim has printed."""

    def tell(claim: Claim) -> None:
        try:
            folder = retention.folder_of(ledger.state, claim.queue)
            kept = folder.read(retention.output_of(claim.id, claim.attempt))
        except OSError:
            # It printed nothing, or that could not be kept.
            return
        messages.exactly(kept.decode("utf-8", "replace"), end="")

    return tell


def _next(
    args: argparse.Namespace,
    why: str,
    cause: str,
    resume_at: float | None,
    nothing: str,
    goes_on: str,
) -> str:
    """Return the line that says why it is over, and the command that goes on."""
    if why == "refused":
        mend = "What to do: hypervisor doctor"
        if args.agent == "command":
            mend = "Once that is fixed, run the same command again"
        return f"stopped: {escaped(cause)}; nothing more was started. {mend}"
    if why == "not done":
        return (
            f"stopped: what was tried first is not done: {escaped(cause)}; nothing more was "
            f"started. Once that is fixed: hypervisor retry {args.queue}, then the same command; "
            f"or go on anyway: hypervisor plan {args.queue} --go-on"
        )
    if why == "halted":
        failed = count(args.halt, "failure")
        return f"stopped after {failed}; the same command continues with what is left"
    if why == "stopped":
        return "stopped; the same command continues with what is left"
    if why == "paused":
        if resume_at:
            return (
                f"paused until {until(resume_at)}; the same command waits for that, then continues"
            )
        return f"paused; continue with: {goes_on}, then the same command"
    if why == "idle":
        return f"nothing more was handed out: {nothing}; hypervisor status {args.queue}"
    return f"the queue is {why}"
