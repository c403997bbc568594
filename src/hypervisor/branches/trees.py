"""One working tree per claim: made from the commit at which the root stands, committed, removed.

It stands in `.hypervisor/worktrees/<token>`, or is one that its caller already stands in (a
client's own isolation), which then changes its branch for the time of the claim.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hypervisor.branches.names import branch_name
from hypervisor.system import filters
from hypervisor.system.checkout import private_dir, shared_dir, top_of
from hypervisor.system.errors import HypervisorError, NotOwner, UsageError
from hypervisor.system.folder import Folder
from hypervisor.system.git import Git, GitError
from hypervisor.system.remote import run_remote
from hypervisor.system.state import State, shown
from hypervisor.system.text import one_line

# In a worktree's private folder: the token it works for, and what it stood at before.
_NOTE = "hypervisor"
# What is on its way out of git's own folder; nobody else names anything so.
_REMOVED = "hypervisor-removed-"
# There too: nobody but a person removes this tree.
_KEPT = "hypervisor-kept"
# A lock of git's own that is older was left by a killed process: nobody works here but its owner.
_STALE = 5.0
_TRIES = 3
_FILES = ("100644", "100755")
_NEEDED = "work on branches needs a git working tree"


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


def make(git: Git, item_id: str, token: str) -> Tree:
    """Make the branch and the working tree of a claim, with `git` at the root. Raises GitError and
    HypervisorError."""
    root = git.folder
    top, head = _standing(git)
    base = _base(git, head)
    branch = branch_name(item_id, token)
    path = os.path.join(trees_dir(root), token)
    add(git, "-b", branch, path, base)
    tree = git.at(path)
    tree("checkout", "--quiet", "--force")
    return Tree(tree, _work(path, root, top), branch, base)


def add(git: Git, *words: str) -> None:
    """Make a working tree, without its files, as `git worktree add WORDS` does at the root. Raises
    GitError.

    git fails where it meets another worktree that is half made or half removed: these moments are
    short here, and we take turns. Others, who don't, are waited for.
    """
    root = git.folder
    state = State.find(root) or State.create(root)
    state.folder.below("worktrees", make=True)
    with state.folder.locked("worktrees.lock"):
        until = time.monotonic() + _STALE
        while True:
            told = git.run("worktree", "add", "--quiet", "--no-checkout", *words)
            if told[0] == 0:
                break
            if "commondir" not in told[2] or time.monotonic() > until:
                raise GitError("worktree add", told[2] or told[1])
            time.sleep(0.05)


def keep(tree: Tree) -> None:
    """Have a claim's working tree stay, whatever becomes of the claim: it holds what no commit
    has."""
    with open(os.path.join(tree.private, _KEPT), "a", encoding="ascii"):
        pass


def _let_go(tree: Tree) -> None:
    try:
        os.unlink(os.path.join(tree.private, _KEPT))
    except FileNotFoundError:
        return


def is_kept(path: str) -> bool:
    """True for a working tree that `keep` was called for."""
    return top_of(path) == path and os.path.exists(os.path.join(private_dir(path) or "", _KEPT))


def lend(root: str, name: str) -> str:
    """Make a working tree for an agent that will `enter` claim after claim; return its path.

    Raises GitError and HypervisorError.
    """
    git = Git(root)
    path = os.path.join(trees_dir(root), name)
    add(git, "--detach", path, _base(git, _standing(git)[1]))
    git.at(path)("checkout", "--quiet", "--force")
    return path


def enter(at_root: Git, item_id: str, token: str, cwd: str, is_live: Callable[[str], bool]) -> Tree:
    """Put the linked worktree around `cwd` on the branch of a claim.

    What is left there of a claim that is over goes (`is_live` tells); anything else that is not
    committed is refused. Raises UsageError, GitError and HypervisorError.
    """
    root = at_root.folder
    main, head = _standing(at_root)
    top = top_of(cwd)
    if top is None:
        raise UsageError(f"{one_line(cwd, 300)}: in no git working tree", "go into one")
    if top == main or common_dir(top) != common_dir(main):
        raise UsageError(
            f"{one_line(top, 300)}: not a linked worktree of {one_line(main, 300)}",
            "go into one, or leave out --here",
        )
    private, git = private_dir(top) or "", at_root.at(top)
    earlier = _note(private)
    if is_kept(top):
        raise UsageError(
            f"{one_line(top, 300)}: holds work that could not be committed",
            "take it from there, then: git worktree remove --force",
        )
    if earlier is not None:
        if is_live(earlier[0]):
            raise UsageError(f"this worktree works on {earlier[0]}", "end that claim first")
        leave(git)
    elif git("status", "--porcelain", "-z", *git.all_but_strangers()):
        raise UsageError(
            f"{one_line(top, 300)}: has changes that are not committed", "commit or remove them"
        )
    base = _base(at_root, head)
    branch = branch_name(item_id, token)
    code, before, _ = git.run("symbolic-ref", "--quiet", "--short", "HEAD")
    if code:
        before = git("rev-parse", "HEAD")
    with open(os.path.join(private, _NOTE), "w", encoding="utf-8") as note:
        note.write(f"{token}\n{before.strip()}\n")
    git("checkout", "--quiet", "-b", branch, base)
    return Tree(git, _work(top, root, main), branch, base)


def _base(git: Git, head: str) -> str:
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


def save(tree: Tree, message: str) -> str | None:
    """Commit all that stands in the tree and return the branch's commit, None if nothing changed.

    Files that git ignores are left out. What can't be committed keeps its tree. Raises FilterError,
    GitError and HypervisorError.
    """
    try:
        with _alone(tree):
            head = _save(tree, message)
    except NotOwner:
        raise
    except HypervisorError as error:
        keep(tree)
        error.fix += f"{'; ' if error.fix else ''}until then the work stays in {tree.top}"
        raise
    _let_go(tree)
    return None if head == tree.base else head


def _save(tree: Tree, message: str) -> str:
    git, ref = tree.git, f"refs/heads/{tree.branch}"
    filters.stage(git, "--all", *git.all_but_strangers())
    staged = _staged(git)
    if staged is not None:
        filters.stage_again(git, staged)
        git("commit", "--quiet", "--cleanup=verbatim", "-F", "-", input=message)
    head = git.head()
    if head is None:
        raise GitError("rev-parse", "no commit is checked out in the tree")
    # Missing where the worker has taken the branch away.
    if git.at_ref(ref) != head:
        git("update-ref", ref, head)
    return head


def push(tree: Tree, commit: str) -> None:
    """Bring the branch to the remote that `git config hypervisor.remote` names, if there is one.

    Raises GitError.
    """
    remote = tree.git.remote_name()
    if remote:
        run_remote(
            tree.git, "push", "--quiet", "--no-follow-tags", "--recurse-submodules=no",
            "--no-signed", remote, f"+{commit}:refs/heads/{tree.branch}",
            fix="mend that, then say done again",
        )  # fmt: skip


def entered(work: str, token: str) -> str | None:
    """Return the top of the worktree around `work` if `enter` put that on the branch of `token`."""
    top = top_of(work)
    told = _note(private_dir(work) or "")
    return top if told is not None and told[0] == token else None


def leave(git: Git) -> None:
    """Give the worktree that `enter` took back as it was; what is not committed there goes."""
    private = private_dir(git.folder) or ""
    told = _note(private)
    if told is None:
        return
    clean(git, told[1])
    os.unlink(os.path.join(private, _NOTE))


def clean(git: Git, name: str, *options: str) -> None:
    """Check `name` out in the working tree `git.folder`, and leave nothing there that is not
    committed but what git ignores."""
    git("checkout", "--quiet", "--force", *options, name, "--")
    git("clean", "-ffdq")


def remove(root: str, token: str) -> None:
    """Remove the working tree of a claim, whatever state it is in; its branch stays."""
    path = os.path.join(trees_dir(root), token)
    discard(root, path)


def discard(root: str, path: str) -> None:
    """Remove a working tree beneath `.hypervisor/worktrees` and what git knows of it, unless it is
    kept."""
    if os.path.dirname(path) != trees_dir(root):
        raise ValueError(path)
    if is_kept(path) or os.path.islink(trees_dir(root)):
        return
    common = common_dir(root)
    known = os.path.join(common, "worktrees")
    for name in os.listdir(known) if os.path.isdir(known) else ():
        private = os.path.join(known, name)
        if _first_line(os.path.join(private, "gitdir")) == os.path.join(path, ".git"):
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


def sweep(root: str) -> None:
    """Remove what a `discard` that was killed has left."""
    common = common_dir(root)
    for name in os.listdir(common):
        if name.startswith(_REMOVED) and not os.path.islink(os.path.join(common, name)):
            shutil.rmtree(os.path.join(common, name), ignore_errors=True)


def delete_branches(git: Git, branches: list[str]) -> None:
    """Delete branches; that one is gone already is fine, and one that is locked stays."""
    lines = [f"delete refs/heads/{branch}\n" for branch in branches]
    if lines and git.run("update-ref", "--stdin", input="".join(lines))[0]:
        for line in lines:
            git.run("update-ref", "--stdin", input=line)


def is_within(folder: str, path: str) -> bool:
    """True if `path` is `folder` or lies beneath it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _standing(git: Git) -> tuple[str, str]:
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


def _work(top: str, root: str, root_top: str) -> str:
    inside = os.path.relpath(root, root_top)
    if inside == ".":
        return top
    work = os.path.join(top, inside)
    os.makedirs(work, exist_ok=True)
    return work


def _note(private: str) -> tuple[str, str] | None:
    try:
        with open(os.path.join(private, _NOTE), encoding="utf-8") as note:
            token, before = note.read().splitlines()
    except (OSError, ValueError):
        return None
    return token, before


def _staged(git: Git) -> list[str] | None:
    """Return the files that are staged, from the top of the tree; None if there is nothing to
    commit. What is deleted, and links, are none of them.

    A repository inside the tree is refused: it would be committed as a link that leads nowhere.
    """
    told = git("diff-index", "--cached", "--raw", "-z", "--no-renames", "HEAD").split("\0")
    found = []
    for mode, path in zip(told[::2], told[1::2], strict=False):
        if mode.startswith(":000000 160000"):
            git("--literal-pathspecs", "reset", "--quiet", "HEAD", "--", path)
            raise HypervisorError(
                f"{one_line(path, 200)}: a repository of its own, which can't be committed here",
                "remove it or its .git, or have git ignore it, then say it again",
            )
        if mode[8:14] in _FILES:
            found.append(path)
    return found if told != [""] else None


@contextmanager
def _alone(tree: Tree) -> Iterator[None]:
    """One of our commands at a time in a tree; locks that killed gits have left go."""
    private = tree.private
    with Folder.at(private).locked("hypervisor.lock"):
        for name in ("index.lock", "HEAD.lock"):
            _wait_out(os.path.join(private, name))
        yield


def _wait_out(lock: str) -> None:
    try:
        while os.stat(lock).st_mtime > time.time() - _STALE:
            time.sleep(0.1)
        os.unlink(lock)
    except FileNotFoundError:
        return


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as source:
            return source.read().removesuffix("\n")
    except OSError:
        return ""


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
