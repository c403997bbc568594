"""git: the only place that starts it.

It is started so that it asks nobody, leaves nothing running, and runs no program that somebody
else has chosen. The user's configuration holds (filters, merge drivers, identity); what a
repository's own configuration names is run only in a repository that is the project's. What would
stop a worker that nobody watches is off: signing, editors, passwords, monitors. Hooks are run only
where `git config hypervisor.hooks true` says so, since a commit of ours is not the user's.
"""

from __future__ import annotations

import os

from hypervisor.system.checkout import (
    GITLINK,
    commit_of_ref,
    head,
    is_own,
    may_link,
    private_dir,
    shared_dir,
    top_of,
)  # fmt: skip
from hypervisor.system.errors import HypervisorError, SetupError
from hypervisor.system.git_environment import QUIET, environment
from hypervisor.system.text import one_line, shell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# So long may git take for one step: a large checkout, a filter that hashes much.
SECONDS = 600.0

_NO_HOOKS = "core.hooksPath=/dev/null"
# Those only look: no hook of anybody's runs.
_LOOKS = frozenset((
    "check-attr", "config", "diff-index", "diff-tree", "for-each-ref", "ls-files", "merge-base",
    "ls-tree", "rev-list", "rev-parse", "status", "symbolic-ref", "var", "version",
))  # fmt: skip
# Those put files into the repository.
_STORES = frozenset(("add", "commit"))
# What we want to know of the configuration, as git spells it.
_HOOKS, SSH = "hypervisor.hooks", "core.sshcommand"
REMOTE = "hypervisor.remote"
_SETTINGS = (
    rf"^({_HOOKS}|{SSH}|{REMOTE}|filter\..*\.(clean|process|smudge|required)|hook\..*\.command)$"
)
# Of a repository's own configuration. All others are the user's.
_OWN_SCOPES = frozenset(("local", "worktree"))
# Said where nobody knows who commits.
_NOBODY = (
    "Please tell me who you are", "empty ident name", "no email was given", "no name was given",
    "unable to auto-detect email",
)  # fmt: skip
_NO_ROOM = ("No space left on device", "Disk quota exceeded", "Read-only file system")
_NAME = 'git config user.name "…" && git config user.email "…"'


class GitError(HypervisorError):
    """git refused to do `what`; `said` is what it said."""

    def __init__(self, what: str, said: str, fix: str = "") -> None:
        # Its lines as one: they are one message.
        words = " ".join(said.split())
        if lock := lock_of(said):
            words = f"{lock} is there: another git is at work, or has died at it"
            fix = f"once none runs there: rm {shell(lock)}"
        super().__init__(f"git {what}: {one_line(words, 300) or 'it failed'}", fix)
        self.what = what
        self.said = said


def lock_of(said: str) -> str | None:
    """Return the lock of git's own that kept it from its work, going by what it said, or None."""
    before, found, _ = said.partition(".lock': File exists")
    return before.rpartition("Unable to create '")[2] + ".lock" if found else None


class NobodyCommits(GitError, SetupError):
    """git knows no name and no address to commit with."""

    def __init__(self, what: str, said: str, fix: str = "") -> None:
        del fix
        super().__init__(what, "it knows no name and address to commit with", _NAME)
        self.said = said


class NoRoom(GitError, SetupError):
    """What git has to write can't be written here by anybody."""

    def __init__(self, what: str, said: str, fix: str = "") -> None:
        super().__init__(what, said, fix or "make room for it")


class Git:
    """git in the checkout around one folder. `git("status")` returns what it prints; raises
    GitError. It is started at the top of the checkout: paths count from there.

    `folder` is the root of a project, whose repository is trusted: its configuration is its user's.
    With `root` it is a folder of the project at `root`: another repository in there works as well,
    but what its own configuration says of hooks, remotes and filters does not count.

    A step that takes longer than `seconds` is ended; `beat` is called every `beat_every` seconds
    meanwhile. It reads the user's configuration once, when that first counts: make a new one for
    each verb.
    """

    def __init__(
        self,
        folder: str,
        *,
        root: str | None = None,
        seconds: float = SECONDS,
        beat: Callable[[], None] | None = None,
        beat_every: float = 30.0,
    ) -> None:
        self.folder = folder
        self._root = folder if root is None else root
        # The folder whose repository `at` keeps to.
        self._home = folder
        self._seconds, self.beat, self._beat_every = seconds, beat, beat_every
        self._bound = False
        self._index: str | None = None
        # What counts of the configuration; and what a foreign repository says, undone.
        self._configuration: dict[str, str] | None = None
        self._undone: dict[str, str] = {}

    def at(self, top: str) -> Git:
        """Return git in the working tree `top` of the same repository, where what was read of the
        configuration holds as well. It works there and nowhere else: raises HypervisorError once
        that is gone, or belongs to another repository."""
        other = Git(
            top,
            root=self._root,
            seconds=self._seconds,
            beat=self.beat,
            beat_every=self._beat_every,
        )
        other._bound, other._home = True, self._home
        other._where()
        other._configuration, other._undone = self._configured(), self._undone
        return other

    def with_index(self, index: str) -> Git:
        """Return git in the same checkout with an index of its own, kept in the file `index`."""
        other = Git(
            self.folder,
            root=self._root,
            seconds=self._seconds,
            beat=self.beat,
            beat_every=self._beat_every,
        )
        other._index, other._configuration = index, self._configured()
        other._undone = self._undone
        return other

    def __call__(self, *words: str, fix: str = "", input: str | None = None) -> str:
        """Run git with `words` and return its output; it must succeed. Raises GitError."""
        code, out, said = self.run(*words, input=input)
        if code:
            error = GitError
            for kind, signs in ((NobodyCommits, _NOBODY), (NoRoom, _NO_ROOM)):
                if any(sign in said for sign in signs):
                    error = kind
            raise error(_verb(words), said or out, fix)
        return out

    def ok(self, *words: str) -> bool:
        """True if git succeeds with `words`."""
        return self.run(*words)[0] == 0

    def run(
        self, *words: str, input: str | None = None, apart: bool = False
    ) -> tuple[int, str, str]:
        """Run git with `words`; return its exit code, its output, and its complaints.

        With `apart` it ends its work even if we are killed, and our whole group with us. Raises
        GitError if it takes too long.
        """
        from hypervisor.system import processes

        where = self._where()
        if where is None:
            return 128, "", f"not a git repository, nor any folder above it: {self.folder}"
        verb, told = _verb(words), None
        if input is not None:
            told = input.encode("utf-8", "surrogateescape")
        try:
            code, out, said = processes.run(
                ["git", *self._options(verb, where[1]), *words],
                cwd=where[0],
                env=environment(*where)
                | ({"GIT_INDEX_FILE": self._index} if self._index is not None else {}),
                seconds=self._seconds,
                input=told,
                beat=self.beat,
                beat_every=self._beat_every,
                apart=apart,
            )
        except FileNotFoundError as error:
            if error.filename == "git":
                raise HypervisorError("git is not installed", "install git") from None
            raise
        except processes.Overtime as error:
            raise GitError(verb, f"{error}, and was ended", "see: git status") from None
        return code, os.fsdecode(out), os.fsdecode(said).strip()

    @property
    def root(self) -> str:
        return self._root

    def setting(self, name: str) -> str | None:
        """Return a value of the user's own configuration, or None, of those that count here."""
        return self._configured().get(name)

    def remote_name(self) -> str | None:
        """Return the remote that `git config hypervisor.remote` names, or None. Raises
        HypervisorError for one that git would take for an option."""
        name = self.setting(REMOTE)
        if name and name.startswith("-"):
            raise HypervisorError(
                f"{REMOTE} is {one_line(name, 60)!r}, which is not a remote",
                f"git config {REMOTE} origin",
            )
        return name or None

    @property
    def filters(self) -> set[str]:
        """The names of the filters that are set up: git can run them on what is committed."""
        found = set()
        for name, value in self._configured().items():
            if name.startswith("filter.") and value and name.endswith((".clean", ".process")):
                found.add(name[len("filter.") : name.rindex(".")])
        return {name for name in found if name and "=" not in name}

    def is_there(self) -> bool:
        """True if this is a working tree of the project's repository still, or of that which `at`
        keeps to."""
        try:
            where = self._where()
        except HypervisorError:
            return False
        return where is not None and (self._bound or where[1])

    def top(self) -> str:
        """Return the top folder of this working tree. Raises GitError where there is none."""
        where = self._where()
        if where is None:
            raise GitError("rev-parse", f"not a git repository: {self.folder}")
        return where[0]

    def head(self) -> str | None:
        """Return the id of the commit that is checked out, None if there is none yet. Raises
        GitError."""
        found = head(self.folder)
        if found is None:
            code, out, _ = self.run("rev-parse", "--verify", "--quiet", "HEAD")
            found = out.strip() if code == 0 else None
        return found

    def at_ref(self, ref: str) -> str | None:
        """Return the commit that a ref, by its full name, is at; None for one that is not there."""
        private = private_dir(self.folder)
        found = private and commit_of_ref(shared_dir(private), ref)
        return found or self.refs(ref).get(ref)

    def refs(self, *words: str) -> dict[str, str]:
        """Return the commits of the refs that `git for-each-ref WORDS` finds, by full name. That of
        a name finds what lies beneath it, too."""
        told = self("for-each-ref", "--format=%(objectname) %(refname)", *words)
        found = (line.split(" ", 1) for line in told.split("\n")[:-1])
        return {name: commit for commit, name in found}

    def has(self, commit: str, within: str = "HEAD") -> bool:
        """True if `within` is `commit` or comes after it; False for a commit that is not here."""
        return not commit.startswith("-") and self.ok("merge-base", "--is-ancestor", commit, within)

    def held(self, commits: set[str], within: str = "HEAD") -> set[str]:
        """Return those of `commits` that are `within` or come before it, as `has` tells."""
        beyond = self.beyond(within, commits)
        if beyond is None:
            return {commit for commit in commits if self.has(commit, within)}
        return commits - beyond.keys()

    def beyond(self, tip: str, commits: Iterable[str], *words: str) -> dict[str, list[str]] | None:
        """Return what `commits` hold and `tip` does not, each commit with its parents, as `git
        rev-list WORDS` tells; None where one of them is not here."""
        told = "".join(f"{commit}\n" for commit in (f"^{tip}", *commits))
        if "\n-" in told:
            return None
        code, out, _ = self.run("rev-list", "--parents", "--stdin", *words, input=told)
        lines = map(str.split, out.splitlines())
        return None if code else {commit: parents for commit, *parents in lines}

    def changed(self, base: str, commit: str) -> list[str]:
        """Return the paths that differ between two commits, from the top of the repository."""
        told = self("diff-tree", "-r", "-z", "--name-only", "--no-renames", base, commit)
        return told.split("\0")[:-1]

    def all_but_strangers(self, below: str = ".") -> list[str]:
        """Return the words that name all files in the folder `below` (from the top) to git, but for
        the links to repositories that are none of this one's submodules: git would look into them,
        and run what their configuration says."""
        words = ["--", f":(top,literal){below}"] if below != "." else ["--", ":(top)"]
        private = private_dir(self.folder)
        if private is None or not may_link(private):
            return words
        for entry in self("ls-files", "--stage", "-z").split("\0"):
            mode, _, path = entry.partition(" ")
            path = path.rpartition("\t")[2]
            linked = os.path.join(self.top(), path)
            if mode == f"{GITLINK:o}" and top_of(linked) == linked and not self._shares(linked):
                words.append(f":(top,exclude,literal){path}")
        return words

    def _where(self) -> tuple[str, bool] | None:
        """Return the top of the checkout, and whether its repository is the project's; None where
        there is no checkout."""
        top = top_of(self.folder)
        if not self._bound:
            return None if top is None else (top, self._shares(self.folder))
        if top != self.folder or not _shares(self._home, top):
            raise HypervisorError(
                f"{one_line(self.folder, 300)}: no working tree of the repository of "
                f"{one_line(self._home, 300)}",
                "git worktree list shows which there are",
            )
        return top, self._shares(top)

    def _shares(self, folder: str) -> bool:
        """True if the checkout around `folder` is one of the project's repository."""
        return _shares(self._root, folder)

    def _options(self, verb: str, ours: bool) -> list[str]:
        pairs = [*QUIET]
        if verb in _LOOKS and (ours or verb != "status"):
            pairs.append(_NO_HOOKS)
        else:
            known = self._configured()
            if not ours or self.setting(_HOOKS) != "true":
                hooks = [name for name in known if name.startswith("hook.")]
                pairs += [_NO_HOOKS, *(f"{name[: -len('command')]}enabled=false" for name in hooks)]
            pairs += [f"{name}={value}" for name, value in self._undone.items()]
        if verb in _STORES:
            # Where not all is checked out, what stands elsewhere would be passed by.
            pairs.append("core.sparseCheckout=false")
            # A filter that fails would be passed by, and its file kept as it is.
            pairs += [f"filter.{name}.required=true" for name in sorted(self.filters)]
        return [word for pair in pairs for word in ("-c", pair)]

    def _configured(self) -> dict[str, str]:
        if self._configuration is None:
            where = self._where()
            code, told, said = self.run("config", "-z", "--show-scope", "--get-regexp", _SETTINGS)
            if code > 1 and where is not None:
                # One is what it ends with where nothing is set.
                raise GitError("config", said, "fix that; git 2.26 or later is needed")
            words = told.split("\0")[:-1]
            found: dict[str, str] = {}
            foreign: list[str] = []
            for scope, pair in zip(words[::2], words[1::2], strict=True):
                name, _, value = pair.partition("\n")
                if where is None or where[1] or scope not in _OWN_SCOPES:
                    found[name] = value
                else:
                    foreign.append(name)
            for name in foreign:
                if name.startswith("hook."):
                    self._undone[f"{name[: -len('command')]}enabled"] = "false"
                elif name.startswith("filter."):
                    # As the user's own configuration has it; an empty command is none.
                    bare = "false" if name.endswith(".required") else ""
                    self._undone[name] = found.get(name, bare)
            if found.get(_HOOKS, "true") not in ("true", "false"):
                # Its other words for yes and no are git's to read.
                found[_HOOKS] = self.run("config", "--type=bool", "--get", _HOOKS)[1].strip()
            self._configuration = found
        return self._configuration


def _shares(home: str, folder: str) -> bool:
    """True if the checkout around `folder` is one of the repository around `home`: its main one, a
    linked worktree, a submodule."""
    ours, private = private_dir(home), private_dir(folder)
    if ours is None or private is None:
        return False
    if top_of(folder) == top_of(home):
        return True
    common, private = os.path.realpath(shared_dir(ours)), os.path.realpath(private)
    if not f"{private}/".startswith(f"{common}/"):
        return False
    # Submodules are kept there too: what leads back to them is in their own configuration.
    return "/modules/" in private[len(common) :] or is_own(folder, private)


def version(folder: str, seconds: float) -> str:
    """Return what git calls its version. Raises HypervisorError, without one or if none is told
    in time."""
    from hypervisor.system import processes

    try:
        told = processes.run(
            ["git", "version"], cwd=folder, env=environment(folder, True), seconds=seconds
        )
    except (OSError, processes.Overtime) as error:
        raise HypervisorError(f"git version: {error}", "install git") from None
    return one_line(os.fsdecode(told[1]).strip()).removeprefix("git version ")


def _verb(words: Iterable[str]) -> str:
    return next(word for word in words if word[0] != "-" and "=" not in word)


def tracks(folder: str, name: str) -> bool:
    """True if git tracks anything below `name` in `folder`; False without git or a repository."""
    try:
        code, out, _ = Git(folder).run("--literal-pathspecs", "ls-files", "-z", "--", name)
    except HypervisorError:
        return False
    return code == 0 and bool(out)
