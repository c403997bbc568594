"""`hypervisor preflight`: what can run, what can't, and why."""

from __future__ import annotations

import argparse
import json
import os
import stat

from hypervisor import cli
from hypervisor.cli import options
from hypervisor.cli.messages import complain
from hypervisor.cli.place import ledger_at
from hypervisor.config.roots import find_root
from hypervisor.config.settings import Settings, load
from hypervisor.intake.preflight import Preflight
from hypervisor.intake.preflight import check as check_items
from hypervisor.intake.sources import SourceError, expand
from hypervisor.ledger import Ledger
from hypervisor.system.errors import UsageError
from hypervisor.system.reading import MIB, NotReadable, read_file, read_pipe
from hypervisor.system.text import one_line, shell

# Every worker is given them with each item.
_INSTRUCTIONS = MIB
SUMMARY = "show which items are ready, skipped, held or broken, and why; changes nothing"
EXAMPLE = "hypervisor preflight tasks --where 'priority<=1'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source_arguments(parser)
    parser.add_argument("--json", action="store_true", help="for scripts, and in full")
    # For our script, whose words are a preset's where no settings name one.
    parser.add_argument("--preset", default="", help=argparse.SUPPRESS)


def add_source_arguments(parser: argparse._ActionsContainer) -> None:
    """Declare the arguments that name items, as every verb that takes sources has them."""
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help="a folder, file, quoted glob, list (@FILE, queue.txt, - for standard input), "
        "CSV, JSON or JSONL file, or a task's id",
    )
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="CONDITION",
        help="only items whose front matter or row matches, e.g. 'priority<=1' or project=web "
        "(=, !=, <, <=, >, >=); all drops the condition; may be repeated",
    )
    parser.add_argument(
        "--instructions",
        metavar="FILE",
        help="a file that says what to do with each item; rows and any files are items then",
    )
    parser.add_argument("--children-of", metavar="ID", help="the tasks below this one")
    parser.add_argument("--id", metavar="COLUMN", help="the column of a row's id")
    parser.add_argument(
        "--format",
        metavar="NAME",
        action=_Formats,
        help="the format of these files; hypervisor help formats lists them",
    )


class _Formats(argparse.Action):
    """Takes the name of a format, and lists them where it is `help`."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        from hypervisor.tasks import formats

        if values == "help":
            known = formats.about()
            width = max(map(len, known))
            for name, about in known.items():
                print(f"{name:{width}}  {about}")
            parser.exit()
        if values not in formats.TASK_FILES:
            formats.get(str(values))
        setattr(namespace, self.dest, values)


def run(args: argparse.Namespace) -> int:
    """Print what was found: 0 if anything is ready, 3 if nothing is, 1 if a source failed."""
    root = find_root()
    read_instructions(args)
    with ledger_at(root, look=True) as ledger:
        checked, failed = check(args, root, load(root, preset=args.preset), ledger)
    if args.json:
        print(json.dumps(checked.to_json()))
    else:
        print("\n".join(told(args, checked)))
        if checked.ready and not failed:
            row = checked.ready[0].payload
            options.tell_person(options.work_off(asked(args, os.curdir), row))
    if failed:
        return 1
    return 0 if checked.ready else 3


def check(
    args: argparse.Namespace,
    root: str,
    settings: Settings,
    ledger: Ledger | None,
    purpose: str = "work",
) -> tuple[Preflight, bool]:
    """Pre-flight the sources in `args`; return it, and whether a source could not be read.

    Such sources are told on standard error. What is open in `args.queue`, if there is one, counts
    as ready. Raises UsageError where no source is named.
    """
    if not args.sources and args.children_of is None:
        raise UsageError("no source", "name a folder, a file, a list or a task's id")
    failed: list[SourceError] = []
    # A command says itself what is done with an item.
    all_are_items = args.instructions is not None or getattr(args, "all_are_items", False)
    found = expand(
        args.sources,
        root=root,
        cwd=os.getcwd(),
        settings=settings,
        id_column=args.id,
        children_of=args.children_of,
        files_are_items=all_are_items,
        format=args.format,
        on_error=failed.append,
    )
    queue = getattr(args, "queue", None)
    given = tuple(getattr(args, "tools", ()))
    if ledger is not None and queue is not None:
        given += ledger.terms.tools(queue)
    checked = check_items(
        found,
        root=root,
        settings=settings,
        ledger=ledger,
        where=args.where,
        instructions=all_are_items,
        purpose=purpose,
        queue=queue,
        files_from=getattr(args, "files_from", None),
        tools=given,
        again=getattr(args, "again", False),
    )
    checked.failed = failed
    for error in failed:
        complain(error)
    return checked, bool(failed)


def told(args: argparse.Namespace, checked: Preflight) -> list[str]:
    """Return what people are told of a pre-flight; of sources without any item, what they hold."""
    from hypervisor.intake.sources.instead import found_instead, hidden_instead

    lines = checked.lines(in_full=cli.loud > 0)
    cwd = os.getcwd()
    if checked.counts["ready"] or checked.not_matching or checked.failed:
        return lines
    hidden = [one for spec in args.sources if (one := hidden_instead(spec, cwd)) is not None]
    if not (hidden or checked.counts["total"]):
        lines += [one for spec in args.sources if (one := found_instead(spec, cwd)) is not None]
    return lines + hidden


def asked(args: argparse.Namespace, root: str) -> str:
    """Return the arguments that name items, as a person would type them at the root."""
    from hypervisor.tasks.walk import has_magic

    below = not os.path.samefile(os.curdir, root)

    def there(word: str) -> str:
        is_path = below and (has_magic(word) or os.path.lexists(word))
        return os.path.relpath(word, root) if is_path and not os.path.isabs(word) else word

    words = [there(word) for word in args.sources]
    for option, values in (
        ("--where", args.where),
        ("--instructions", [args.instructions and there(args.instructions)]),
        ("--children-of", [args.children_of]),
        ("--id", [args.id]),
        ("--format", [args.format]),
        ("--first", [getattr(args, "first", None)]),
        ("--repeat", [getattr(args, "repeat", None)]),
    ):
        for value in values:
            words += [] if value is None else [option, str(value)]
    return shell(words)


def refuse_led_out(name: str) -> None:
    """Raise UsageError for a file outside of the project behind a link that came with it."""
    from hypervisor.intake.sources.expansion import led_out

    cwd = os.path.realpath(os.getcwd())
    if why := led_out(find_root(cwd), os.path.normpath(os.path.join(cwd, name))):
        raise UsageError(one_line(why, 600), "name its target to use that")


def read_instructions(args: argparse.Namespace) -> str | None:
    """Return the text of the instructions file, None without one. Raises UsageError."""
    if args.instructions is None:
        return None
    path = one_line(args.instructions)
    refuse_led_out(args.instructions)
    try:
        if stat.S_ISFIFO(os.stat(args.instructions).st_mode):
            text = read_pipe(args.instructions, _INSTRUCTIONS).decode("utf-8")
        else:
            text = read_file(args.instructions, _INSTRUCTIONS)[0].decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8", "convert the file to UTF-8") from None
    except NotReadable as error:
        raise UsageError(f"{path}: {error.what}", error.fix) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{path}: {reason}", "name a file that says what to do") from None
    if not text.strip():
        raise UsageError(f"{path}: no instructions in it", "write what to do with each item")
    return text
