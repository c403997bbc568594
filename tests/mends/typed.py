"""A printed command taken out of what was printed, and typed as it is, where it is printed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from forked import run as carry_out
from hypervisor import worker
from hypervisor.ledger import Claim, Ledger
from hypervisor.system.errors import HypervisorError
from worker.branches.support import WHO, git
from worker.support import states, write_task

# As printed by `shell`, or a plain word that ends before a mark of punctuation.
_WORD = r"""(?:'[^'\n]*'|"[^"\n]*"|[^\s'"`;,()“”<>])+"""
_OPTION = rf"(?: --?[\w-]+(?: {_WORD})?)?"
_REST = r"[^;`\n]+"
# The id of an item, and the name of its file: no shell takes it as it is.
A = "it's a"


def words_of(printed: str, said: str, filled: Mapping[str, str] | None = None) -> list[str]:
    """Return the words of a command as a shell reads them: `printed` is as in the inventory, `said`
    is what holds it, `filled` is what a reader puts for the words in capitals. A last hole `{…}`
    takes the rest of the line."""
    command = printed.partition(": ")[2]
    whole = re.escape(command).replace(r"\{…\}", _REST)
    whole = re.sub(r"(?<=[a-z}])\\\{\\\}", lambda _: _OPTION, whole)
    for word in (_WORD, f"{_WORD} {_WORD}"):
        pattern = whole.replace(r"\{\}", word)
        found = re.search(rf"(?<![\w.-]){pattern}(?![\w-])", said)
        if found is not None:
            break
    assert found is not None, f"{command!r} is not in:\n{said}"
    words = shlex.split(found[0].rstrip(".:”"))
    return [(filled or {}).get(word, word) for word in words]


def refused(what: Callable[[], object]) -> str:
    try:
        what()
    except HypervisorError as error:
        return str(error)
    raise AssertionError("nothing was said")


class Shop:
    """A project in a folder with an awkward name, with a queue `q` over tasks of awkward ids."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.at = root
        self.env: dict[str, str | None] = {}

    def run(self, *words: str | Path, input: str = "") -> subprocess.CompletedProcess[str]:
        """Carry out a command line of ours."""
        return carry_out(words, self.at, input, self.env)

    def says(self, *words: str | Path, input: str = "") -> str:
        """Return what a command line of ours prints."""
        told = self.run(*words, input=input)
        return told.stdout + told.stderr

    def types(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        """Type a command; a `cd` of it holds for what follows."""
        if words[0] == "cd":
            self.at = self.at / words[1]
            assert self.at.is_dir(), words
            return self.types(words[3:]) if words[2:3] == ["&&"] else self.run("status")
        if words[0] in ("export", "unset"):
            name, _, value = words[1].partition("=")
            self.env[name] = value if words[0] == "export" else None
            return self.run("status")
        if words[0] == "hypervisor":
            return self.run(*words[1:], input="did it" if words[-1] == "-" else "")
        return subprocess.run(
            words, cwd=self.at, env=os.environ | WHO, capture_output=True, text=True, check=False
        )

    def opens(self, *ids: str, extra: tuple[str, ...] = ()) -> None:
        """Write tasks, and open the queue over them."""
        for item in ids:
            write_task(self.root, item)
        told = self.run("open", "q", "tasks", *extra)
        assert told.returncode == 0, told

    def takes(self, item: str | None = None, **options: bool) -> Claim:
        with Ledger.open(str(self.root)) as ledger:
            [claim] = worker.take(ledger, "q", "w", only=item, **options)
        return claim

    def ends(self, outcome: str, item: str = A, **report: str) -> None:
        """Have a worker take an item and end it."""
        claim = self.takes(item)
        told = {"summary": "did it", "reason": "it can't be"} | report
        with Ledger.open(str(self.root)) as ledger:
            worker.finish(ledger, claim.token, outcome, told)

    def state(self, item: str = A, queue: str = "q") -> str | None:
        return states(self.root, queue).get(item)

    def repository(self) -> None:
        """Have the project be a repository in which all is committed."""
        git(self.root, "init", "--quiet", "-b", "main")
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "--allow-empty", "-m", "first")


class Case(NamedTuple):
    """A command as `printed` (see the inventory), what brings its situation about and returns what
    is printed then, and whether all is well afterwards, going by what typing it did."""

    printed: str
    told: Callable[[Shop], str]
    then: Callable[[Shop, subprocess.CompletedProcess[str]], object]
    filled: Mapping[str, str] = {}
    code: int = 0
