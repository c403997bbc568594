"""Commits by many workers in one working tree: of exactly the named files what is the item's, one
committer at a time."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence

from hypervisor.system import filters
from hypervisor.system.checkout import private_dir, top_of
from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.system.git import Git, GitError
from hypervisor.system.state import State
from hypervisor.system.text import listed, one_line
from hypervisor.worker import verify
from hypervisor.worker.commits.whose import Part, Whose

# Others wait meanwhile. What takes longer waits for a person.
_SECONDS = 120.0
# What git keeps while it waits for a commit that is to end something, and while a commit would be
# on no branch once that is given up.
_UNDER_WAY = (
    ("MERGE_HEAD", "a merge"),
    ("rebase-merge", "a rebase"),
    ("rebase-apply", "a rebase"),
    ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ("REVERT_HEAD", "a revert"),
    ("BISECT_LOG", "a bisection"),
)


def commit(
    state: State,
    message: str,
    files: Sequence[str],
    cwd: str,
    *,
    whose: Whose | None = None,
    beat: Callable[[], None] = lambda: None,
    beat_every: float = 30.0,
) -> str:
    """Commit `files` (paths from `cwd`) as they are now, and nothing else; return the commit's id.

    With `whose`, of each file what is the item's: what others have in it stays in the working tree.
    A file that was deleted is committed as deleted. What others have staged in other files stays
    staged. `beat` is called every `beat_every` seconds, so that the caller can renew a lease.
    Raises UsageError for what is no file, or none of this checkout; NotTold; FilterError,
    HypervisorError where git refuses, or somebody is in the midst of a merge.
    """
    git = Git(cwd, root=state.root, seconds=_SECONDS, beat=beat, beat_every=beat_every)
    top = git.top()
    paths = [_from_top(top, cwd, name) for name in files]
    specs = [f":(top,literal){path}" for path in paths]
    with state.folder.opened_lock("commit.lock") as turn:
        if not verify.wait_for_turn(turn, beat, beat_every, 3 * _SECONDS):
            raise HypervisorError(
                "other commits are under way and do not finish", "see: git status"
            )
        _refuse_kept_back(git, top, specs)
        _refuse_folders(git, top, paths)
        filters.refuse_missing(git, filters.wanted(git, _regular(top, paths)))
        try:
            before = git.head()
            parts = whose.parts(git, paths) if whose is not None else {}
            if whose is not None and parts:
                _commit_parts(git, message, paths, parts, whose, before or "HEAD")
            else:
                filters.stage(git, "--all", "--", *specs)
                git("commit", "--quiet", "--only", *_saying(message), "--", *specs)
            if whose is not None:
                whose.committed(git, paths, parts)
        except GitError as error:
            raise _told(error) from None
        return git.head() or ""


def _saying(message: str) -> tuple[str, ...]:
    return "--cleanup=whitespace", f"--message={message}"


def _commit_parts(
    git: Git, message: str, paths: list[str], parts: Mapping[str, Part], whose: Whose, before: str
) -> None:
    """Commit the files `paths` on the commit `before`, some of them only in `parts`, from an index
    of its own, since the working tree is to stay as it is. What others have staged in these files
    stays staged. Raises NotTold, GitError; HypervisorError if somebody else commits meanwhile."""
    staged = _staged(git, parts)
    entries, theirs = "", ""
    for path, part in parts.items():
        now = git("hash-object", "-w", "--", path).strip()
        blob = _merged(git, path, part.head, part.base, now, whose)
        entries += f"{part.mode} {blob}\t{path}\0"
        if staged.get(path, now) not in (part.head, now):
            blob = _merged(git, path, staged[path], part.head, blob, whose)
        theirs += f"{part.mode} {blob}\t{path}\0"
    whole = [f":(top,literal){path}" for path in paths if path not in parts]
    index = os.path.join(private_dir(git.top()) or "", "index")
    with tempfile.TemporaryDirectory(prefix="hypervisor-index-") as folder:
        own = git.with_index(os.path.join(folder, "index"))
        for at, told in ((git, theirs), (own, entries)):
            if at is own:
                # As git itself has it: what it knows of the other files spares it reading them. By
                # its time git tells which of them may have changed unseen.
                if os.path.exists(index):
                    shutil.copy2(index, os.path.join(folder, "index"))
                own("read-tree", "--reset", before)
            if whole:
                filters.stage(at, "--all", "--", *whole)
            at("update-index", "-z", "--index-info", input=told)
        own("commit", "--quiet", *_saying(message))
        _refuse_others(git, before, own("write-tree").strip())


def _staged(git: Git, paths: Iterable[str]) -> dict[str, str]:
    """Return the object that the index holds of each of `paths`, where it holds one."""
    told = git("ls-files", "--stage", "-z", "--", *(f":(top,literal){path}" for path in paths))
    found = {}
    for entry in told.split("\0")[:-1]:
        words, _, path = entry.partition("\t")
        found[path] = words.split(" ")[1]
    return found


def _refuse_others(git: Git, before: str, tree: str) -> None:
    """Raise HypervisorError if our commit, of `tree`, does not follow on `before`: it takes back
    what somebody has committed meanwhile, so it is taken back itself."""
    told = git("log", "--max-count=1", "--format=%H %T %P", "HEAD").split()
    # Another tree is that of somebody who has put a commit upon ours.
    if told[1] == tree and told[2:] and before not in told[2:]:
        git("update-ref", "-m", "hypervisor: taken back", "HEAD", told[2], told[0])
        raise HypervisorError("somebody else has committed meanwhile", "run the command again")


def _merged(git: Git, path: str, one: str, base: str, other: str, whose: Whose) -> str:
    """Return the object that holds of a file what `one` and `other` have each made of `base`."""
    with tempfile.TemporaryDirectory(prefix="hypervisor-merge-") as folder:
        names = []
        for name, blob in (("one", one), ("base", base), ("other", other)):
            names.append(os.path.join(folder, name))
            with open(names[-1], "wb") as out:
                text = git("cat-file", "blob", blob)
                out.write(text.encode("utf-8", "surrogateescape"))
        code, text, _ = git.run("merge-file", "-p", "-q", *names)
        if code:
            raise whose.conflict(git, path)
        # As git keeps it: it has been through all that there is on the way in.
        return git("hash-object", "-w", "--stdin", "--no-filters", input=text).strip()


def _from_top(top: str, cwd: str, name: str) -> str:
    """Return where a file lies in the checkout at `top`. Raises UsageError for what is none."""
    path = os.path.abspath(os.path.join(cwd, name))
    shown = one_line(name, 200)
    if os.path.isdir(path) and not os.path.islink(path):
        raise UsageError(f"{shown}: a folder", "name the files in it that are yours, one by one")
    folder = os.path.realpath(os.path.dirname(path))
    if top_of(folder) != os.path.realpath(top):
        raise UsageError(
            f"{shown}: not in the repository at {one_line(top, 200)}",
            "go into the file's own repository and run it there",
        )
    return os.path.relpath(os.path.join(folder, os.path.basename(path)), os.path.realpath(top))


def _refuse_kept_back(git: Git, top: str, specs: list[str]) -> None:
    """Raise HypervisorError where a commit would end what somebody is in the midst of, in another
    way than they meant, or take what they keep from git; nothing is staged by then."""
    private = private_dir(top) or ""
    what = next((what for sign, what in _UNDER_WAY if os.path.exists(f"{private}/{sign}")), None)
    # Each with what git knows of it: M is a conflict, S and small letters hide all changes.
    known = git("ls-files", "-v", "-z", "--", *specs).split("\0")[:-1]
    if what is None and any(entry[0] == "M" for entry in known):
        what = "a merge of these files"
    if what is not None:
        raise HypervisorError(
            f"{what} is under way here: nothing was committed",
            "end it first (see: git status), or end the item without a commit and name its files "
            "in the summary",
        )
    hidden = [entry[2:] for entry in known if entry[0] == "S" or entry[0].islower()]
    if hidden:
        raise HypervisorError(
            f"{listed(hidden, 5)}: git was told to overlook changes there (assume-unchanged, "
            "skip-worktree), so nobody knows whose they are: nothing was committed",
            "leave these files out",
        )


def _refuse_folders(git: Git, top: str, paths: list[str]) -> None:
    """Raise UsageError for a path that is not on the disk, and names no single file to git."""
    gone = [path for path in paths if not os.path.lexists(os.path.join(top, path))]
    if not gone:
        return
    known = git("ls-files", "-z", "--", *(f":(top,literal){path}" for path in gone)).split("\0")
    for path in sorted(set(gone) - set(known)):
        below = any(name.startswith(f"{path}/") for name in known)
        raise UsageError(
            f"{one_line(path)}: "
            + ("a folder that is gone" if below else "did not match any file"),
            "name files that exist or are tracked",
        )


def _regular(top: str, paths: list[str]) -> list[str]:
    """Return those of `paths` that are files: links and what is gone go through no filter."""
    found = []
    for path in paths:
        try:
            if stat.S_ISREG(os.lstat(os.path.join(top, path)).st_mode):
                found.append(path)
        except FileNotFoundError:
            continue
    return found


def _told(error: GitError) -> HypervisorError:
    if error.fix:
        return error
    return type(error)(error.what, error.said, "fix that and commit again")
