"""One working tree per claim: made from the commit at which the root stands, and removed.

It stands in `.hypervisor/worktrees/<token>`; `borrowed` has those that a caller stands in.
"""

from __future__ import annotations

import glob
import os
import shutil
import stat
import time
from collections.abc import Callable

from hypervisor.system.checkout import git_file_of, private_dir, shared_dir, top_of
from hypervisor.system.errors import HypervisorError
from hypervisor.system.git import Git, GitError
from hypervisor.system.keys import key
from hypervisor.system.remote import run_remote
from hypervisor.system.state import State, shown
from hypervisor.system.text import one_line

PREFIX = "hypervisor"


def branch_name(item_id: str, token: str) -> str:
    """Return the branch of a claim. What git allows in no name is percent-encoded."""
    name = key(item_id).replace("~", "%7E").replace("..", ".%2E")
    if name.endswith((".", ".lock")):
        head, _, tail = name.rpartition(".")
        name = f"{head}%2E{tail}"
    return f"{PREFIX}/{name}/{token}"


# What is on its way out of git's own folder; nobody else names anything so.
_REMOVED = "hypervisor-removed-"
# A lock of git's own that is older was left by a killed process: nobody works here but its owner.
STALE = 5.0
_TRIES = 3
_NEEDED = "work on branches needs a git working tree"


class Gone(HypervisorError):
    """The working tree `work` of a claim is none any more."""

    def __init__(self, work: str, token: str) -> None:
        super().__init__(
            f"{one_line(work, 300)}: the working tree of this claim is gone, or on another machine",
            f"hypervisor release {token} gives the item back, and what is left there is kept",
        )


class Tree:
    """A claim's working tree: its `top`, the folder `work` in it that stands for the root, its
    `branch`, and the commit `base` that it began at; `git` is git in it."""

    __slots__ = ("base", "branch", "git", "top", "work")

    def __init__(self, git: Git, work: str, branch: str, base: str) -> None:
        self.top = git.folder
        self.work = work
        self.branch = branch
        self.base = base
        self.git = git

    @property
    def private(self) -> str:
        """The folder in which git keeps what it knows of this tree alone."""
        found = private_dir(self.top)
        if not self.git.is_there() or found is None or not os.path.isdir(found):
            raise HypervisorError(
                f"{one_line(self.top, 300)}: the working tree of this claim is gone",
                "give the item back: hypervisor release TOKEN",
            )
        return found


def trees_dir(root: str) -> str:
    """Return the folder that holds the working trees of `root`; it need not exist."""
    return shown(root, "worktrees")


def trees_of(state: State) -> list[str]:
    """Return the names of the working trees that stand there."""
    try:
        return state.folder.below("worktrees").names()
    except OSError:
        return []


def make(git: Git, item_id: str, token: str) -> Tree:
    """Make the branch and the working tree of a claim, with `git` at the root, or at the top of a
    repository in there. Raises GitError and HypervisorError."""
    root = git.root
    top, head = standing(git)
    base = start(git, head)
    branch = branch_name(item_id, token)
    path = os.path.join(trees_dir(root), token)
    add(git, "-b", branch, path, base)
    tree = git.at(path)
    tree("checkout", "--quiet", "--force")
    return Tree(tree, work_in(path, root, top), branch, base)


def add(git: Git, *words: str) -> None:
    """Make a working tree, without its files, as `git worktree add WORDS` does. Raises GitError.

    git fails where it meets another worktree that is half made or half removed: these moments are
    short here, and we take turns. Others, who don't, are waited for.
    """
    root = git.root
    state = State.find(root) or State.create(root)
    state.folder.below("worktrees", make=True)
    with state.folder.locked("worktrees.lock"):
        until = time.monotonic() + STALE
        while True:
            told = git.run("worktree", "add", "--quiet", "--no-checkout", *words)
            if told[0] == 0:
                break
            if "commondir" not in told[2] or time.monotonic() > until:
                raise GitError("worktree add", told[2] or told[1])
            time.sleep(0.05)


def lend(root: str, name: str) -> str:
    """Make a working tree for an agent that will `enter` claim after claim; return its path.

    Raises GitError and HypervisorError.
    """
    git = Git(root)
    path = os.path.join(trees_dir(root), name)
    add(git, "--detach", path, start(git, standing(git)[1]))
    git.at(path)("checkout", "--quiet", "--force")
    return path


def start(git: Git, head: str) -> str:
    """Return the commit that new work begins at: the checkout's, `head`, or, where a remote is set,
    what the remote's branch of that name has come to since. Raises GitError."""
    git("var", "GIT_COMMITTER_IDENT")
    remote = git.remote_name()
    name = git.run("symbolic-ref", "-q", "HEAD")[1] if remote else ""
    if name:
        short = name.strip().removeprefix("refs/heads/")
        # That branch alone: the remote holds one of every item that others have done.
        known = f"refs/remotes/{remote}/{short}"
        wanted = f"+refs/heads/{short}:{known}"
        try:
            run_remote(
                git, "fetch", "--quiet", "--no-tags", "--recurse-submodules=no", str(remote), wanted
            )
        except GitError as error:
            if "couldn't find remote ref" not in error.said:
                raise
        return git.refs(f"--contains={head}", known).get(known, head)
    return head


def clean(git: Git, name: str, *options: str) -> None:
    """Check `name` out in the working tree `git.folder`, and leave nothing there that is not
    committed but what git ignores."""
    git("checkout", "--quiet", "--force", *options, name, "--")
    git("clean", "-ffdq")


def discard(root: str, path: str, home: str | None = None) -> None:
    """Remove a working tree beneath `.hypervisor/worktrees` and what git knows of it in the
    repository around `home` (default: the root)."""
    if os.path.dirname(path) != trees_dir(root):
        raise ValueError(path)
    if os.path.islink(trees_dir(root)):
        return
    common = common_dir(home or root)
    known = os.path.join(common, "worktrees")
    for name in os.listdir(known) if os.path.isdir(known) else ():
        private = os.path.join(known, name)
        if git_file_of(private) == os.path.join(path, ".git"):
            # In one step: git trips over a half of it.
            aside = os.path.join(common, f"{_REMOVED}{name}-{os.getpid()}")
            try:
                os.rename(private, aside)
            except OSError:
                continue
            shutil.rmtree(aside, ignore_errors=True)
    for _ in range(_TRIES):
        # A git whose hypervisor was killed may be writing there still.
        if not os.path.lexists(path):
            break
        shutil.rmtree(path, onerror=_make_removable)


def sweep(home: str) -> None:
    """Remove what a `discard` that was killed has left in the repository around `home`."""
    common = common_dir(home)
    for name in os.listdir(common):
        if name.startswith(_REMOVED) and not os.path.islink(os.path.join(common, name)):
            shutil.rmtree(os.path.join(common, name), ignore_errors=True)


def our_refs(git: Git) -> dict[str, str]:
    """Return the commits of our branches by full name, with what is known of those on remotes."""
    return git.refs(f"refs/heads/{PREFIX}/", f"refs/remotes/*/{PREFIX}/*/*")


def tokens_here(root: str) -> set[str]:
    """Return the tokens of the branches that `our_refs` finds, without git, which takes longer."""
    common, tokens = common_dir(root), set()
    for folder in (f"heads/{PREFIX}", f"remotes/*/{PREFIX}"):
        for path in glob.glob(f"{glob.escape(common)}/refs/{folder}/*/*"):
            tokens.add(os.path.basename(path))
    try:
        with open(f"{common}/packed-refs", encoding="utf-8", errors="surrogateescape") as packed:
            tokens |= {line.rpartition("/")[2][:-1] for line in packed if f"/{PREFIX}/" in line}
    except FileNotFoundError:
        pass
    return tokens


def delete_refs(git: Git, refs: dict[str, str]) -> None:
    """Delete refs, given with the commits that they are at; one that has moved on stays.

    A git that outlived its hypervisor is waited for. A lock that a killed one has left goes; one
    that can't be got leaves its ref for the next time.
    """
    common = common_dir(git.folder)
    for _ in range(_TRIES):
        lines = [f"delete {ref} {commit}\n" for ref, commit in refs.items()]
        if not lines or git.run("update-ref", "--stdin", input="".join(lines))[0] == 0:
            return
        for ref in refs:
            wait_out(os.path.join(common, f"{ref}.lock"))
        here = our_refs(git)
        refs = {ref: commit for ref, commit in refs.items() if here.get(ref) == commit}
    for line in lines:
        git.run("update-ref", "--stdin", input=line)


def wait_out(lock: str) -> None:
    """Wait until a lock of git's own is gone; one that a killed process left is removed."""
    try:
        while os.stat(lock).st_mtime > time.time() - STALE:
            time.sleep(0.1)
        os.unlink(lock)
    except FileNotFoundError:
        return


def is_within(folder: str, path: str) -> bool:
    """True if `path` is `folder` or lies beneath it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def home_of(root: str, path: str | None) -> str:
    """Return the folder whose repository the work on an item goes to: the root, or the top of one
    that lies in it and holds the item's file, at `path` from the root."""
    top = None if path is None else top_of(os.path.dirname(os.path.join(root, path)))
    return root if top is None or top == root or not is_within(root, top) else top


def standing(git: Git) -> tuple[str, str]:
    """Return the top folder of the checkout around `git.folder`, and the commit that it stands at.

    Raises GitError and HypervisorError.
    """
    code, out, said = git.run("rev-parse", "--show-toplevel", "HEAD", "--")
    if code == 0:
        top, head, _, _ = out.rsplit("\n", 3)
        return top, head
    if out:
        raise HypervisorError("the repository has no commit yet", "commit something first")
    raise GitError("rev-parse", said, _NEEDED)


def common_dir(root: str) -> str:
    """Return the folder of the repository around `root` that all its working trees share.

    Raises HypervisorError.
    """
    private = private_dir(root)
    if private is None:
        raise HypervisorError(f"{one_line(root, 300)}: not in a git repository", _NEEDED)
    return os.path.realpath(shared_dir(private))


def work_in(top: str, root: str, root_top: str) -> str:
    """Return the folder in the tree at `top` that stands for `root`, which is in `root_top`; it is
    made where it is missing. A tree of a repository that lies in the root stands for that."""
    if not is_within(root_top, root):
        return top
    inside = os.path.relpath(root, root_top)
    if inside == ".":
        return top
    work = os.path.join(top, inside)
    os.makedirs(work, exist_ok=True)
    return work


def _make_removable(function: Callable[..., object], path: str, _: object) -> None:
    """Some tools leave folders that may not be written; what can't be removed stays."""
    try:
        os.chmod(os.path.dirname(path), stat.S_IRWXU)
        if os.path.isdir(path) and not os.path.islink(path):
            os.chmod(path, stat.S_IRWXU)
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)
    except OSError:
        return
