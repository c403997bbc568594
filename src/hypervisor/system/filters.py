"""Filters that stand between a file and what git keeps of it: large files, secrets.

Where a filter is missing git keeps the file as it is, and with that a secret in the clear. What a
filter is wanted for is committed only if that is set up and has run.
"""

from __future__ import annotations

import re

from hypervisor.system.errors import SetupError
from hypervisor.system.git import Git, GitError
from hypervisor.system.text import listed, one_line, prose

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_SHOWN = 5
_FAILED = re.compile(r"fatal: (.*): clean filter '(.*)' failed", re.S)
# Said of a filter; the last where one that stays between files ends.
_SIGNS = ("clean filter", "external filter", "hung up unexpectedly", "Broken pipe")
# A command of git takes the words of `pathspecs` so.
FROM_INPUT = ("--pathspec-from-file=-", "--pathspec-file-nul")


class FilterError(SetupError):
    """Files can't be committed: a filter that they are to go through is missing or fails."""


def wanted(git: Git, paths: list[str]) -> dict[str, str]:
    """Return the filter of each of the files `paths` (from the top) that has one, by path."""
    if not paths:
        return {}
    told = git("check-attr", "-z", "--stdin", "filter", input="".join(f"{p}\0" for p in paths))
    words = told.split("\0")[:-1]
    found = zip(words[::3], words[2::3], strict=True)
    return {path: name for path, name in found if name not in ("unspecified", "unset", "set")}


def refuse_missing(git: Git, filters: dict[str, str]) -> None:
    """Raise FilterError if one of `filters`, by path, is not set up."""
    set_up = git.filters
    lacking = {path: name for path, name in filters.items() if name not in set_up}
    if lacking:
        raise missing(lacking)


def missing(filters: dict[str, str]) -> FilterError:
    """Return what to say of files, each with its filter, that is not set up."""
    return FilterError(
        f"{listed(sorted(filters), _SHOWN)}: {_names(filters)} not set up here, so git would "
        "keep them as they are",
        "set it up (git lfs install, git-crypt unlock), then run the command again",
    )


def stage(git: Git, *words: str, input: str | None = None) -> None:
    """Run `git add WORDS`, with every filter. Raises FilterError where one fails, and nothing is
    staged; GitError."""
    try:
        git("add", *words, input=input)
    except GitError as error:
        if not any(sign in error.said for sign in _SIGNS):
            raise
        failed = _FAILED.search(error.said)
        what = (
            f"{one_line(failed[1])}: filter {one_line(failed[2], 60)!r}" if failed else "a filter"
        )
        raise FilterError(
            f"{what} fails: {prose(error.said, 200)}", "fix it, then run the command again"
        ) from None


def staged_without(git: Git, paths: list[str]) -> dict[str, FilterError]:
    """Have the staged files `paths` that want a filter go through it again, whoever has staged them
    and how it was set up then. Return why, for each path for which that can't be."""
    filters = wanted(git, paths)
    set_up = git.filters
    ready = [path for path, name in filters.items() if name in set_up]
    left = {path: missing({path: name}) for path, name in filters.items() if name not in set_up}
    try:
        if ready:
            stage(git, "--renormalize", *FROM_INPUT, input=pathspecs(ready))
    except FilterError as error:
        left |= dict.fromkeys(ready, error)
    return left


def pathspecs(paths: Iterable[str]) -> str:
    """Return paths from the top as FROM_INPUT takes them."""
    return "".join(f":(top,literal){path}\0" for path in paths)


def _names(missing: dict[str, str]) -> str:
    names = sorted(set(missing.values()))
    shown = ", ".join(repr(one_line(name, 60)) for name in names[:_SHOWN])
    return f"the filter {shown} is" if len(names) == 1 else f"the filters {shown} are"
