"""The holes in a command line, `{path}` or `{column}`: where one may stand, and what fills it.

No shell of ours reads the words, but a shell or interpreter that they name may: a hole in the code
that `sh -c` or `python -c` is given would run what a stranger wrote. Such a hole is refused, with
the form that hands the value over as a word. What is written `{{name}}` is `{name}` as it stands;
braces around anything but a name (`{}`, `{"a": 1}`, `{print $1}`, `${HOME}`) are no holes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence

from hypervisor.agents.client import Unfit
from hypervisor.system.errors import UsageError
from hypervisor.system.text import one_line, shell

OWN = ("id", "path", "title", "token", "queue")
# Made by us of letters, digits and dashes: they mean nothing to any language.
_HARMLESS = frozenset(("token", "queue"))
_NAME = r"[^\W\d](?:[\w .-]*\w)?"
_HOLE = re.compile(rf"\{{\{{({_NAME})\}}\}}|(?<!\$)\{{({_NAME})\}}")
# What is none for its blanks, and meant for one where its name is known.
_SPACED = re.compile(rf"(?<!\$)\{{ *({_NAME}) *\}}")
_NAMES_SHOWN = 20

# Interpreters that run what stands behind `-e`.
_EVALUATING = (
    "R", "swift", "ghc", "scala", "groovy", "kotlin", "elixir", "clojure", "clj", "bb",
    "racket", "gnuplot", "latexmk", "tsx", "ts-node", "dc", "bc",
)  # fmt: skip
_SHELLS = frozenset(
    ("sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "rbash", "yash", "fish", "csh", "tcsh")
)
# Interpreter -> letters of options that bring code, long options that do, letters of options that
# take another word.
_CODE: dict[str, tuple[str, tuple[str, ...], str]] = {
    **dict.fromkeys(_SHELLS, ("c", ("--command", "--init-command"), "oO")),
    **dict.fromkeys(("python", "pypy", "jython"), ("c", (), "WX")),
    **dict.fromkeys(("node", "nodejs", "bun"), ("ep", ("--eval", "--print"), "rC")),
    **dict.fromkeys(("vi", "vim", "nvim", "ex"), ("c", ("--cmd",), "Su")),
    "perl": ("eE", (), "I"),
    "ruby": ("e", (), "rIC"),
    "deno": ("", ("eval",), ""),
    "php": ("rBRE", ("--run", "--process-begin", "--process-code", "--process-end"), "dcz"),
    "lua": ("e", (), "l"),
    "luajit": ("e", (), "lj"),
    "julia": ("eE", ("--eval", "--print"), "LptJ"),
    "Rscript": ("e", (), ""),
    **dict.fromkeys(("nu", "xonsh", "elvish"), ("c", ("--command", "--commands"), "")),
    **dict.fromkeys(
        _EVALUATING,
        ("e", ("--eval", "--expression"), "lr"),
    ),
    **dict.fromkeys(("octave", "sbcl"), ("", ("--eval",), "")),
    "matlab": ("", ("-batch", "-r"), ""),
    "nix-shell": ("", ("--run", "--command"), "p"),
    "npx": ("c", ("--call",), "p"),
    "lldb": ("oO", ("--one-line", "--one-line-before-file"), ""),
    "git": ("c", ("--config-env", "--exec-path"), "C"),
    "tar": ("I", ("--use-compress-program", "--checkpoint-action", "--to-command"), "Cf"),
    "rsync": ("e", ("--rsh", "--rsync-path"), ""),
    "man": ("PH", ("--pager", "--html"), ""),
    "osascript": ("e", (), "l"),
    "guile": ("c", (), "Lle"),
    "emacs": ("", ("--eval", "--execute", "-eval"), "l"),
    "gdb": ("", ("-ex", "-eval-command", "--eval-command"), "x"),
    "psql": ("c", ("--command",), "dhpUfv"),
    "mysql": ("e", ("--execute",), "DhPu"),
    "env": ("S", ("--split-string",), "uC"),
}
# These take their code by `-c` at any place.
_ANYWHERE = frozenset(("su", "runuser", "script", "flock"))
# The first word of these that is no option is code, unless `-e` or `-f` brings it.
_FIRST = {"awk": "FvfEile", "gawk": "FvfEile", "mawk": "FvfWe", "nawk": "Fvf", "sed": "eflE"}
_LONG = ("--expression", "--source")
# What stands behind these is put together for a shell, or they expand it themselves.
_ALL = frozenset(
    ("eval", "ssh", "autossh", "mosh", "parallel", "powershell", "pwsh", "cmd", "sqlite")
)
# The same, but as an argument of another program these are plain words.
_ALL_IF_FIRST = frozenset(
    ("watch", "make", "gmake", "at", "batch", "tmux", "screen", "expect", "hyperfine")
)
_STARTERS = frozenset(("find", "fd", "docker", "podman", "kubectl", "chroot", "flock", "nsenter"))
# The first word behind these that is no option, number or variable is the program.
_BEFORE = frozenset(
    (
        "sudo", "doas", "env", "timeout", "nice", "ionice", "nohup", "setsid", "stdbuf", "time",
        "xargs", "busybox", "command", "exec", "systemd-run", "taskset", "strace", "unshare",
        "caffeinate", "unbuffer",
    )
)  # fmt: skip
_NO_PROGRAM = re.compile(r"-.*|[\w.]+=.*|(0x)?[\d.]+[smhd]?", re.DOTALL)
# How each language names the first word behind its code.
_BEHIND = {
    **dict.fromkeys(("python", "pypy", "jython"), "sys.argv[1]"),
    **dict.fromkeys(("node", "nodejs", "bun"), "process.argv[1]"),
    "perl": "$ARGV[0]", "ruby": "ARGV[0]", "php": "$argv[1]",
}  # fmt: skip
_VARIABLES = {"path": "HYPERVISOR_PATH", "id": "HYPERVISOR_ID", "title": "HYPERVISOR_TITLE"}


def names(words: Iterable[str]) -> list[str]:
    """Return the names of the holes in `words`, each once."""
    found = (match[2] for word in words for match in _HOLE.finditer(word))
    return list(dict.fromkeys(name for name in found if name))


def check(words: Sequence[str]) -> None:
    """Raise UsageError for a hole where its value would choose what runs: in the program's name, or
    in code that a shell or an interpreter is given."""
    for at in _programs_at(words):
        if named := names([words[at]]):
            raise UsageError(
                f"the program's name holds {{{named[0]}}}: items don't choose what runs",
                "name a program, and give it the value as a word",
            )
    for at, program in _code(words):
        bad = [name for name in names([words[at]]) if name not in _HARMLESS]
        if bad:
            raise UsageError(
                f"{{{bad[0]}}} stands in code that {program} runs: "
                "what a task or a row says would run as a command",
                _safe_form(words, at, program),
            )


def check_names(words: Sequence[str], rows: Iterable[Mapping[str, object] | None]) -> None:
    """Raise UsageError for a hole that no item can fill, and for one with blanks in its braces.
    `rows` are the columns of the items, and are read only as far as it takes to find every name."""
    spaced = {
        found[1]: found[0]
        for word in words
        for found in _SPACED.finditer(word)
        if " " in (found[0][1], found[0][-2])
    }
    missing = [name for name in names(words) if name not in OWN]
    if not missing and not spaced:
        return
    columns: dict[str, None] = {}
    for row in rows:
        if row:
            columns.update(dict.fromkeys(map(str, row)))
            if all(name in columns for name in [*missing, *spaced]):
                break
    for name, written in spaced.items():
        if name in columns or name in OWN:
            raise UsageError(f"{written} has blanks in its braces", f"write {{{name}}}")
    name = next((name for name in missing if name not in columns), None)
    if name is None:
        return
    there_are = dict.fromkeys([*OWN, *list(columns)[:_NAMES_SHOWN]])
    known = ", ".join(one_line(one, 40) for one in there_are)
    import difflib

    near = difflib.get_close_matches(name, [*columns, *OWN], 1)
    hint = f"did you mean {{{near[0]}}}? " if near else ""
    raise UsageError(
        f"nothing is called {{{name}}} in this queue",
        f"{hint}known: {known}; for the braces as they stand write {{{{{name}}}}}",
    )


def fill(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Return `words` with their holes filled; a column that this item lacks is empty.

    A program takes a word that begins with a dash for an option. A path gets `./` before it, which
    names the same file. For any other value there is no such form: it is refused (Unfit), unless a
    `--` stands before it, or it comes behind code, whose words are no options.
    """
    behind = min((at for at, program in _code(words) if program in _SHELLS), default=len(words))
    filled = [words[0]]
    ends_options = False
    for at, word in enumerate(words[1:], 1):

        def value(hole: re.Match[str]) -> str:
            return f"{{{hole[1]}}}" if hole[1] else values.get(hole[2], "")

        told = _HOLE.sub(value, word)
        if told.startswith("-") and not word.startswith("-"):
            if word.startswith("{path}"):
                told = f"./{told}"
            elif not ends_options and at <= behind:
                hole = names([word])[0]
                raise Unfit(
                    f"{{{hole}}} is {one_line(told, 60)}, which begins with a dash as an option of "
                    f"{os.path.basename(words[0])} does",
                    f"write -- before it, --option={{{hole}}}, or have the command "
                    "read HYPERVISOR_ID, HYPERVISOR_TITLE or HYPERVISOR_DATA",
                )
        ends_options = ends_options or word == "--"
        filled.append(told)
    return filled


def _code(words: Sequence[str]) -> list[tuple[int, str]]:
    """Return the words that are code: their places, and the programs that run them.

    Wherever the name of an interpreter stands it is taken for one: `sudo`, `env`, `timeout`,
    `xargs`, `find -exec`, `docker run` and whatever else starts programs need not be read.
    """
    found: dict[int, str] = {}
    is_started = bool(_programs(words[0], is_first=True) & (_STARTERS | _BEFORE))
    for start, word in enumerate(words):
        for program in _programs(word, is_first=start == 0):
            if program in _ALL or (program in _ALL_IF_FIRST and (start == 0 or is_started)):
                places: Iterable[int] = range(start + 1, len(words))
            elif program in _FIRST:
                places = _first(words, start, _FIRST[program])
            elif program in _ANYWHERE:
                places = _anywhere(words, start)
            elif program in _CODE:
                places = _brought(words, start, program)
            else:
                continue
            for at in places:
                found.setdefault(at, program)
    return sorted(found.items())


def _programs_at(words: Sequence[str]) -> list[int]:
    """Return where the programs stand that are started one by the other: `nice timeout 9 x`; and
    those that `find` is to start."""
    found = [at for at, last in enumerate(words[:-1], 1) if last in ("-exec", "-execdir", "-ok")]
    at = 0
    while at < len(words):
        found.append(at)
        if os.path.basename(words[at]) not in _BEFORE:
            break
        at += 1
        while at < len(words) and _NO_PROGRAM.fullmatch(words[at]):
            at += 1
    return found


def _programs(word: str, *, is_first: bool) -> set[str]:
    """Return the names under which a word may be known as a program, without their versions."""
    found = {os.path.basename(word)}
    if is_first:
        import shutil

        # A link of another name may lead to a shell.
        real = os.path.basename(os.path.realpath(shutil.which(word) or word))
        found |= {real} if real != "busybox" else set()
    return {re.sub(r"(?<=[a-z])-?[\d.]+$", "", name.removesuffix(".exe")) for name in found}


def _brought(words: Sequence[str], start: int, program: str) -> list[int]:
    """Return what options of the interpreter at `start` bring as code."""
    letters, long, taking = _CODE[program]
    brings = re.compile(rf"-[A-Za-z0-9]*[{letters}](.*)", re.DOTALL) if letters else None
    code: list[int] = []
    at, may_take = start + 1, False
    while at < len(words):
        word = words[at]
        given = brings.fullmatch(word) if brings and not word.startswith("--") else None
        if word in long:
            code += [at, at + 1]
            at += 1
        elif word.startswith(tuple(f"{option}=" for option in long)):
            code.append(at)
        elif given and program in _SHELLS:
            return list(range(at, _script(words, at) + 1))
        elif given:
            # The code is the rest of the word, or the next word.
            is_whole = bool(given[1]) and not given[1].isalnum()
            code += [at] if is_whole else [at, at + 1]
            at += not is_whole
        elif word.startswith(("-", "+")) and word not in ("-", "--"):
            if names([word]):
                code.append(at)
            at += len(word) == 2 and word[1] in taking
            # Which of the long ones take a word is not known here.
            may_take = word.startswith("--") and "=" not in word
        elif may_take:
            may_take = False
        elif program != "env" or "=" not in word:
            # A file to run, or a program: the options behind it are its own.
            break
        at += 1
    return [place for place in code if place < len(words)]


def _script(words: Sequence[str], at: int) -> int:
    """Return the place of a shell's script: the first word behind `-c` that is no option."""
    place = at + 1
    while place < len(words):
        word = words[place]
        if word == "--":
            return min(place + 1, len(words) - 1)
        if not word.startswith(("-", "+")) or word in ("-", "+"):
            return place
        place += 2 if word[-1] in "oO" else 1
    return len(words) - 1


def _anywhere(words: Sequence[str], start: int) -> list[int]:
    places = [
        at for at in range(start + 1, len(words)) if re.match(r"-\w*c|--\w*command", words[at])
    ]
    return [at for place in places for at in (place, place + 1) if at < len(words)]


def _first(words: Sequence[str], start: int, taking: str) -> list[int]:
    """Return the code of awk or sed: the first word that is no option, or what `-e` brings; with
    the code in a file (`-f`) none."""
    code, is_brought, at = [], False, start + 1
    while at < len(words) and words[at].startswith("-") and words[at] not in ("-", "--"):
        word = words[at]
        is_alone = word in _LONG or (len(word) == 2 and word[1] in taking)
        if word[1] == "e" or word.startswith(_LONG):
            code += [at, at + 1] if is_alone else [at]
            is_brought = True
        elif word[1] == "f" or word.startswith("--file"):
            is_brought = True
        elif names([word]) and word[1] != "v":
            code.append(at)
        at += 2 if is_alone else 1
    at += at < len(words) and words[at] == "--"
    return [place for place in [*code, *([] if is_brought else [at])] if place < len(words)]


def _safe_form(words: Sequence[str], at: int, program: str) -> str:
    """Return the hint that shows how to write it."""
    hole = next(name for name in names([words[at]]) if name not in _HARMLESS)
    braces = "" if hole in OWN else f"; for the braces as they stand write {{{{{hole}}}}}"
    if program in ("sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "rbash", "yash") and not (
        {";", "+"} & set(words[at + 1 :]) or words[at].startswith("-")
    ):
        return f"write: {_typed(_positional(words, at))}{braces}"
    if program in _BEHIND:
        behind = f"{_BEHIND[program]} in its place, and {{{hole}}} as a word behind the code"
        return f"write {behind}{braces}"
    if program in _FIRST and program != "sed" and hole in _VARIABLES:
        return f'write ENVIRON["{_VARIABLES[hole]}"] in its place{braces}'
    return (
        f"name a script that reads {_VARIABLES.get(hole, 'HYPERVISOR_DATA')} from its environment"
        f"{braces}"
    )


def _positional(words: Sequence[str], at: int) -> list[str]:
    """Return the command with the holes in the shell script at `at` as words behind it."""
    script, behind = words[at], list(words[at + 1 :]) or ["sh"]
    numbers: dict[str, str] = {}

    def number(name: str) -> str:
        if name not in numbers:
            behind.append(f"{{{name}}}")
            numbers[name] = f"{{{len(behind) - 1}}}" if len(behind) > 10 else str(len(behind) - 1)
        return numbers[name]

    out, place, quote = "", 0, ""
    while place < len(script):
        char = script[place]
        whole = re.compile(rf"(['\"])\{{({_NAME})\}}\1").match(script, place)
        hole = _HOLE.match(script, place)
        if whole and not quote:
            out += f'"${number(whole[2])}"'
            place = whole.end()
        elif hole and hole[2]:
            used = number(hole[2])
            in_double = f"${{{used.strip('{}')}}}"
            out += {"": f'"${used}"', '"': in_double, "'": f"'\"${used}\"'"}[quote]
            place = hole.end()
        elif char == "\\" and quote != "'":
            out += script[place : place + 2]
            place += 2
        else:
            if char in "'\"" and quote in ("", char):
                quote = "" if quote else char
            out += char
            place += 1
    return [*words[:at], out, *behind]


def _typed(words: Sequence[str]) -> str:
    """Return words as a person types them: a hole by itself means nothing to a shell."""
    return " ".join(word if re.fullmatch(r"\{\w+\}", word) else shell(word) for word in words)
