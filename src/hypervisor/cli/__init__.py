"""The command line: one module per verb, imported only when its verb is called."""

from __future__ import annotations

import os
import sys

from hypervisor.cli.messages import complain, drop_output, note
from hypervisor.config.roots import user_file
from hypervisor.system import waiting
from hypervisor.system.errors import HypervisorError, NotAllowed, UsageError, mend_of
from hypervisor.system.lazy import by_name
from hypervisor.system.text import Shown, escaped, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import TextIO

# The verbs, by where help shows them: a new one is a word here. A name that starts with `_` is for
# our own processes.
GROUPS = {
    "Start": ("preflight", "open", "check", "work"),
    "Look": ("status", "show", "log", "results", "report"),
    "Decide": ("review", "retry", "pause", "resume", "cancel"),
    "Mend": ("undo", "doctor"),
    "workers": (
        "next", "done", "block", "fail", "release", "heartbeat", "commit", "suggest", "pull",
    ),
    "sessions": ("plan", "wait", "summary"),
    "more": (
        "judge", "integrate", "allow", "triage", "demo", "serve", "move", "prune", "completion",
    ),
    "hidden": (
        "expire", "unlock", "adopt", "_triage-worker", "_batch-worker", "_hook", "_monitor",
    ),
}  # fmt: skip
# How much is told: `loud` is -1 for what was asked for only, 1 for lists that are not cut.
_LOUD = {"-q": -1, "--quiet": -1, "-v": 1, "--verbose": 1}
loud = 0
# Verb -> its module in this package.
VERBS = {verb: verb.lstrip("_").replace("-", "_") for verbs in GROUPS.values() for verb in verbs}

# What workers and hooks call all the time, and what says where things stand.
QUICK = frozenset(("next", "done", "block", "fail", "release", "heartbeat", "status", "_hook"))
# What prints something that is taken as it is: an item with its texts, a table, a script.
_EXACT = frozenset(("next", "done", "block", "fail", "pull", "results", "completion", "demo"))


def main(argv: list[str]) -> int:
    """Carry out one command line and return its exit code: one of `exit_codes`, or 130 where it was
    interrupted."""
    global loud
    loud = 0
    # Whatever a verb prints goes out escaped.
    waiting.say = note
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_shown(stream or _nobody()) for stream in streams)
    _wrap("stderr")
    try:
        return _carry_out(argv)
    finally:
        sys.stdout, sys.stderr = streams


def _shown(stream: TextIO) -> Shown:
    # A verb that calls another one has it guarded already: twice escaped, colours would be text.
    stream = getattr(stream, "unguarded", stream)
    if not stream.isatty():
        return Shown(stream)
    from hypervisor.cli import colour

    return colour.Coloured(stream) if colour.fit() else Shown(stream)


def _wrap(name: str) -> None:
    """Have the lines of a stream fit, if a terminal shows them."""
    stream = getattr(sys, name)
    if stream.isatty():
        from hypervisor.cli.wrapping import Wrapped

        setattr(sys, name, Wrapped(stream))


def _nobody() -> TextIO:
    """Return a stream in the place of one that was closed: the next file that is opened would have
    its number, and pass for it."""
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def _carry_out(argv: list[str]) -> int:
    try:
        try:
            return _dispatch(argv)
        finally:
            # Not at the end of Python, where nobody would hear that it can't be written.
            sys.stdout.flush()
    except HypervisorError as error:
        if isinstance(error, UsageError) and not error.fix:
            verbs = [meant(word) for word in argv if meant(word) in VERBS]
            error.fix = f"hypervisor {verbs[0]} --help" if verbs else "hypervisor help"
        complain(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`): say nothing more, not even at exit.
        drop_output()
        return 1
    except OSError as error:
        where = one_line(error.filename) if error.filename else "system"
        complain(f"{where}: {escaped(error.strerror or error)}", mend_of(error, ""))
        drop_output()
        return 1
    except MemoryError:
        complain("no memory is left", "free some memory, or start fewer workers")
        return 1
    except (ImportError, SyntaxError) as error:
        # Of ours, by name or by path.
        name = error.filename if isinstance(error, SyntaxError) else error.name
        if "hypervisor" not in (name or ""):
            raise
        complain("the program was removed or replaced while it ran", "run the command again")
        return 1
    except UnicodeEncodeError as error:
        complain(f"not UTF-8: {one_line(ascii(error.object), 60)}")
        return 2
    except Exception as error:
        import sqlite3

        from hypervisor.config.roots import find_root
        from hypervisor.ledger.damage import explained
        from hypervisor.ledger.sqlite import unusable

        told = explained(find_root(), error)
        if told is None and isinstance(error, sqlite3.Error):
            told = unusable("ledger", error)
        if told is None:
            raise
        complain(told)
        return 1


def load(verb: str) -> ModuleType:
    """Return the module of `verb`. Raises UsageError for an unknown one."""
    if verb not in VERBS:
        from hypervisor.cli import misspelt

        shown = one_line(verb, 40)
        if near := misspelt.verb(verb):
            hint = f"did you mean 'hypervisor {near}'?"
        else:
            hint = f"hypervisor COMMAND {shown}" if verb[:2] == "--" else "hypervisor help"
        what, where = ("option", " in front of a command") if verb[:1] == "-" else ("command", "")
        raise UsageError(f"no {what} '{shown}'{where}", hint)
    module: ModuleType = by_name(f"hypervisor.cli.{VERBS[verb]}")
    return module


def meant(word: str) -> str:
    """Return the verb that is called by `word`: itself, or what that is another word for."""
    if word in VERBS:
        return word
    from hypervisor.agents.verbs import ALIASES

    return ALIASES.get(word, word)


def _dispatch(argv: list[str]) -> int:
    if "_ARGCOMPLETE" in os.environ:
        return _complete()
    argv = _everywhere(argv)
    if not argv or argv[0] in ("-h", "--help", "help"):
        from hypervisor.cli import help

        print(help.page(_without_loud(argv[1:]) if argv[:1] == ["help"] else []))
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        from hypervisor import __version__

        print(f"hypervisor {__version__}")
        return 0
    verb = meant(argv[0])
    module = load(verb)
    _refuse(verb, argv[1:])
    if verb == "move" or os.path.lexists(user_file()):
        from hypervisor.config.extras import complete

        # Another process may take the place of this one.
        sys.stdout.flush()
        complete(argv)
    args = _parse(verb, _without_loud(argv[1:]), module)
    if not (verb in _EXACT or getattr(args, "json", False)):
        _wrap("stdout")
    code: int = module.run(args)
    return code


def _everywhere(argv: list[str]) -> list[str]:
    """Change to the folder of `-C` in front of the verb, and return the line without it; `-q` and
    `-v` are put behind the verb."""
    loud: list[str] = []
    while argv and (argv[0] in _LOUD or argv[0][:2] == "-C"):
        if argv[0] in _LOUD:
            loud.append(argv[0])
        elif argv[0] != "-C":
            argv = ["-C", argv[0][2:], *argv[1:]]
            continue
        elif len(argv) < 2:
            raise UsageError("-C takes a folder", "hypervisor -C DIR COMMAND …")
        else:
            try:
                os.chdir(argv[1])
            except OSError as error:
                raise UsageError(
                    f"-C {one_line(argv[1], 200)}: {error.strerror}", "name a folder"
                ) from None
            argv = argv[1:]
        argv = argv[1:]
    return [*argv[:1], *loud, *argv[1:]] if argv else []


def _without_loud(words: list[str]) -> list[str]:
    """Return the words behind a verb without those that say how much it tells, which are heard."""
    global loud
    end = words.index("--") if "--" in words else len(words)
    for word in words[:end]:
        loud = _LOUD.get(word, loud)
    return [word for word in words[:end] if word not in _LOUD] + words[end:]


def _complete() -> int:
    """Answer a shell that asks what may stand at a place of a command line."""
    if os.path.lexists(user_file()):
        from hypervisor.config.extras import complete

        complete([])
    from hypervisor.cli import completing

    completing.complete()
    return 0


def _refuse(verb: str, words: list[str]) -> None:
    """Raise NotAllowed for what the agent that this process runs for may not do."""
    if verb in QUICK and not os.environ.get("HYPERVISOR_POOL"):
        return
    from hypervisor.agents import rights
    from hypervisor.config.caller import around

    why = rights.refused(verb, words, around())
    if why is not None:
        raise NotAllowed(why)


def _parse(verb: str, line: list[str], module: ModuleType) -> object:
    if verb in QUICK:
        from hypervisor.cli.arguments import PlainParser

        plain = PlainParser()
        module.add_arguments(plain)
        parsed = plain.parse(line)
        if parsed is not None:
            return parsed
    import argparse

    from hypervisor.cli.parser import of_verb

    words: list[str] = []
    if getattr(module, "TAKES_WORDS", False) and "--" in line:
        at = line.index("--")
        line, words = line[:at], line[at + 1 :]
    return of_verb(verb, module).parse_args(line, argparse.Namespace(words=words))
