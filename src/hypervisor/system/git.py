"""git: the only place that starts it, and where a checkout stands, which is read without it.

git is started so that it asks nobody, leaves nothing running, and runs no program that somebody
else has chosen. The user's configuration holds (filters, merge drivers, identity); what a
repository's own configuration names is run only in a repository that is the project's. What would
stop a worker that nobody watches is off: signing, editors, passwords, monitors. Hooks are run only
where `git config hypervisor.hooks true` says so, since a commit of ours is not the user's.
"""

from __future__ import annotations

import os
import sys
import time

from hypervisor.system.errors import HypervisorError, SetupError
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# So long may git take for one step: a large checkout, a filter that hashes much.
SECONDS = 600.0

_QUIET = (
    "commit.gpgSign=false",
    "tag.gpgSign=false",
    "push.gpgSign=false",
    "merge.verifySignatures=false",
    "log.showSignature=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "push.recurseSubmodules=no",
    "rerere.enabled=false",
    "advice.detachedHead=false",
    "credential.interactive=false",
    "protocol.ext.allow=never",
    # A folder that looks like a bare repository is files of a project, not a repository.
    "safe.bareRepository=explicit",
)
_NO_HOOKS = "core.hooksPath=/dev/null"
# What tells git of another repository than the one it is started in (`git rev-parse
# --local-env-vars`, of all versions), of programs to run, of other meanings of its words.
_DROPPED = frozenset((
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT",
    "GIT_OBJECT_DIRECTORY", "GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE", "GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE", "GIT_PREFIX",
    "GIT_INTERNAL_SUPER_PREFIX", "GIT_SHALLOW_FILE", "GIT_COMMON_DIR",
    "GIT_NAMESPACE", "GIT_QUARANTINE_PATH", "GIT_ATTR_SOURCE", "GIT_DEFAULT_HASH",
    "GIT_REF_FORMAT", "GIT_DEFAULT_REF_FORMAT", "GIT_REFLOG_ACTION", "GIT_INDEX_VERSION",
    "GIT_EXTERNAL_DIFF", "GIT_DIFF_OPTS", "GIT_EXEC_PATH", "GIT_TEMPLATE_DIR", "GIT_PAGER",
    "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS",
))  # fmt: skip
_DROPPED_FAMILIES = ("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_", "GIT_TRACE", "GIT_PUSH_OPTION_")
_ASK_NOBODY = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "true",
    "GIT_SEQUENCE_EDITOR": "true",
    "GIT_MERGE_AUTOEDIT": "no",
    "GCM_INTERACTIVE": "never",
    "LC_ALL": "C",
}
_SWITCHED_OFF = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM")
# By these a user says who commits, other than in a file: agents in an environment of their own get
# them too.
IDENTITY = frozenset((
    "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL",
    "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM",
))  # fmt: skip
# Those only look: no hook of anybody's runs.
_LOOKS = frozenset((
    "check-attr", "config", "diff-index", "diff-tree", "for-each-ref", "ls-files", "merge-base",
    "ls-tree", "rev-parse", "status", "symbolic-ref", "var", "version",
))  # fmt: skip
# Those put files into the repository.
_STORES = frozenset(("add", "commit"))
# What we want to know of the configuration, as git spells it.
_HOOKS, _SSH = "hypervisor.hooks", "core.sshcommand"
REMOTE = "hypervisor.remote"
_SETTINGS = (
    rf"^({_HOOKS}|{_SSH}|{REMOTE}|filter\..*\.(clean|process|smudge|required)|hook\..*\.command)$"
)
# Of a repository's own configuration. All others are the user's.
_OWN_SCOPES = frozenset(("local", "worktree"))

# Said of a network that may come back. What a person has to mend is told at once.
_PASSING = (
    "unable to connect", "Could not resolve host", "Connection refused", "Connection reset",
    "Connection closed", "timed out", "No route to host", "unreachable", "hung up unexpectedly",
    "early EOF", "Broken pipe", "too slow", "Failed to connect", "Couldn't connect",
    "Temporary failure",
)  # fmt: skip
# Said where nobody knows who commits.
_NOBODY = (
    "Please tell me who you are", "empty ident name", "no email was given", "no name was given",
    "unable to auto-detect email",
)  # fmt: skip
_NAME = 'git config user.name "…" && git config user.email "…"'
# As for the store: a network that is gone takes both away.
_PATIENCE = "HYPERVISOR_STORE_WAIT"
_PATIENCE_SECONDS = 90.0
_SILENT_SECONDS = 0.5
# A server that works on what was pushed says nothing meanwhile; ssh asks it whether it is there.
_DEAD_SECONDS = 300
_SSH_OPTIONS = "-o BatchMode=yes -o ServerAliveInterval=15 -o ServerAliveCountMax=4"

_LARGEST = 4 << 20
_HEX = frozenset("0123456789abcdef")
_GITLINK = 0o160000


class GitError(HypervisorError):
    """git refused to do `what`; `said` is what it said."""

    def __init__(self, what: str, said: str, fix: str = "") -> None:
        # Its lines as one: they are one message.
        words = " ".join(said.split())
        super().__init__(f"git {what}: {one_line(words, 300) or 'it failed'}", fix)
        self.what = what
        self.said = said


class NobodyCommits(GitError, SetupError):
    """git knows no name and no address to commit with."""

    def __init__(self, what: str, said: str, fix: str = "") -> None:
        del fix
        super().__init__(what, "it knows no name and address to commit with", _NAME)
        self.said = said


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
        other._bound = True
        other._where()
        other._configuration = self._configured()
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
            error = NobodyCommits if any(sign in said for sign in _NOBODY) else GitError
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
                env=_environment(*where)
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

    def remote(self, *words: str, fix: str = "") -> str:
        """Run git with `words` that speak to another machine; ssh asks for no password either, and
        neither it nor HTTP listens for ever to a machine that has gone without a word.

        A machine that can't be reached is waited for, which is told on standard error; so is
        another git of this clone that is just noting what it has fetched.
        """
        if not self.setting(_SSH) and not {"GIT_SSH", "GIT_SSH_COMMAND"} & os.environ.keys():
            words = ("-c", f"{_SSH}=ssh {_SSH_OPTIONS}", *words)
        for pair in ("http.lowSpeedLimit=1", f"http.lowSpeedTime={_DEAD_SECONDS}"):
            words = ("-c", pair, *words)
        begun, pause, said = time.monotonic(), 0.2, False
        until = begun + _patience()
        while True:
            try:
                out = self(*words, fix=fix)
            except GitError as error:
                left = until - time.monotonic()
                if left <= 0 or not _is_passing(error.said):
                    raise
                if not said and time.monotonic() - begun > _SILENT_SECONDS:
                    _say(f"{error.message}; waiting for up to {left:.0f} s")
                    said = True
                time.sleep(min(pause, left))
                pause = min(pause * 2, 2.0)
                if self.beat is not None and pause == 2.0:
                    self.beat()
            else:
                if said:
                    _say(f"git: the remote answers again after {time.monotonic() - begun:.0f} s")
                return out

    def setting(self, name: str) -> str | None:
        """Return a value of the user's own configuration, or None, of those that count here."""
        return self._configured().get(name)

    def remote_name(self) -> str | None:
        """Return the remote that `git config hypervisor.remote` names, or None. Raises
        HypervisorError for one that git would take for an option."""
        name = self.setting(REMOTE)
        if name and name.startswith("-"):
            raise HypervisorError(
                f"{REMOTE} is {one_line(name, 60)!r}, which is no remote",
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
        """True if this is a working tree of the project's repository still."""
        try:
            where = self._where()
        except HypervisorError:
            return False
        return where is not None and where[1]

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
        if private is None or not _may_link(private):
            return words
        for entry in self("ls-files", "--stage", "-z").split("\0"):
            mode, _, path = entry.partition(" ")
            path = path.rpartition("\t")[2]
            linked = os.path.join(self.top(), path)
            if mode == f"{_GITLINK:o}" and top_of(linked) == linked and not self._shares(linked):
                words.append(f":(top,exclude,literal){path}")
        return words

    def _where(self) -> tuple[str, bool] | None:
        """Return the top of the checkout, and whether its repository is the project's; None where
        there is no checkout."""
        top = top_of(self.folder)
        if not self._bound:
            return None if top is None else (top, self._shares(self.folder))
        if top != self.folder or not self._shares(top):
            raise HypervisorError(
                f"{one_line(self.folder, 300)}: no working tree of the repository of "
                f"{one_line(self._root, 300)}",
                "git worktree list shows which there are",
            )
        return top, True

    def _shares(self, folder: str) -> bool:
        """True if the checkout around `folder` is one of the project's repository: its main one, a
        linked worktree, a submodule."""
        ours, private = private_dir(self._root), private_dir(folder)
        if ours is None or private is None:
            return False
        if top_of(folder) == top_of(self._root):
            return True
        common, private = os.path.realpath(shared_dir(ours)), os.path.realpath(private)
        if not f"{private}/".startswith(f"{common}/"):
            return False
        # Submodules are kept there too: what leads back to them is in their own configuration.
        return "/modules/" in private[len(common) :] or _is_own(folder, private)

    def _options(self, verb: str, ours: bool) -> list[str]:
        pairs = [*_QUIET]
        if verb in _LOOKS and (ours or verb != "status"):
            pairs.append(_NO_HOOKS)
        else:
            known = self._configured()
            if not ours or self.setting(_HOOKS) != "true":
                hooks = [name for name in known if name.startswith("hook.")]
                pairs += [_NO_HOOKS, *(f"{name[: -len('command')]}enabled=false" for name in hooks)]
            pairs += [f"{name}={value}" for name, value in self._undone.items()]
        if verb in _STORES:
            # A filter that fails would be passed by, and its file kept as it is.
            pairs += [f"filter.{name}.required=true" for name in sorted(self.filters)]
        return [word for pair in pairs for word in ("-c", pair)]

    def _configured(self) -> dict[str, str]:
        if self._configuration is None:
            where = self._where()
            code, told, said = self.run("config", "-z", "--show-scope", "--get-regexp", _SETTINGS)
            if code > 1 and where is not None:
                # One is what it ends with where nothing is set.
                raise GitError("config", said, "mend that; git 2.26 is the oldest that will do")
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


def version(folder: str, seconds: float) -> str:
    """Return what git calls its version. Raises HypervisorError, without one or if none is told
    in time."""
    from hypervisor.system import processes

    try:
        told = processes.run(
            ["git", "version"], cwd=folder, env=_environment(folder, True), seconds=seconds
        )
    except (OSError, processes.Overtime) as error:
        raise HypervisorError(f"git version: {error}", "install git") from None
    return one_line(os.fsdecode(told[1]).strip()).removeprefix("git version ")


def head(folder: str) -> str | None:
    """Return the id of the commit at which `folder` is checked out, or None, without git: `next`
    notes it with every claim, and a process would take longer than the claim.

    None stands for no repository, no commit yet, and whatever only git itself can read.
    """
    private = private_dir(folder)
    if private is None:
        return None
    text = _read(f"{private}/HEAD")
    if not text.startswith("ref: "):
        return _commit(text)
    return commit_of_ref(shared_dir(private), text[5:].rstrip("\n"))


def commit_of_ref(shared: str, name: str) -> str | None:
    """Return the commit that a ref is at, in the folder of a repository, where that can be read
    without git."""
    return _commit(_read(f"{shared}/{name}")) or _packed(f"{shared}/packed-refs", name)


def private_dir(folder: str) -> str | None:
    """Return the folder in which git keeps what it knows of the checkout around `folder`."""
    top = top_of(folder)
    if top is None:
        return None
    git = f"{top}/.git"
    if os.path.isdir(git):
        return git
    kind, colon, path = _read(git).partition(": ")
    return os.path.join(top, path.rstrip("\n")) if kind == "gitdir" and colon else None


def shared_dir(private: str) -> str:
    """Return the folder of the repository that all its working trees share, for the `private_dir`
    of one of them."""
    common = _read(f"{private}/commondir").rstrip("\n")
    return os.path.join(private, common) if common else private


def top_of(folder: str) -> str | None:
    """Return the top folder of the checkout around `folder`, or None.

    Only a `.git` makes one: a folder that looks like a bare repository is files, as a clone brings
    them. A `.git` which is no repository is passed by, as git does.
    """
    while not _has_repository(folder):
        folder, below = os.path.dirname(folder), folder
        if folder == below:
            return None
    return folder


def _has_repository(folder: str) -> bool:
    git = f"{folder}/.git"
    if os.path.isfile(git):
        return True
    return (
        os.path.lexists(f"{git}/HEAD")
        and os.path.isdir(f"{git}/objects")
        and os.path.isdir(f"{git}/refs")
    )


def _is_own(folder: str, private: str) -> bool:
    """True if `private`, where the `.git` above `folder` leads, is kept for that working tree, and
    for no other one."""
    git = os.path.realpath(f"{top_of(folder)}/.git")
    told = _read(f"{private}/gitdir").rstrip("\n")
    if told:
        return os.path.realpath(os.path.join(private, told)) == git
    return git == private


def _may_link(private: str) -> bool:
    """False if the index of a checkout surely holds no link to another repository."""
    mode = _GITLINK.to_bytes(4, "big")
    try:
        for name in os.listdir(private):
            if name == "index" or name.startswith("sharedindex."):
                with open(os.path.join(private, name), "rb") as index:
                    if mode in index.read():
                        return True
    except OSError:
        return True
    return False


def _environment(top: str, ours: bool) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _DROPPED and not name.startswith(_DROPPED_FAMILIES)
    }
    if "GEMINI_CLI" in kept and all(kept.get(name) == os.devnull for name in _SWITCHED_OFF):
        # The shell of Gemini CLI takes the user's configuration away from the model's own git: who
        # commits, and which filters there are.
        for name in (*_SWITCHED_OFF, "GIT_CONFIG_NOSYSTEM"):
            kept.pop(name, None)
    # It looks no further up than we did; and a foreign repository does not say where its files are.
    kept |= _ASK_NOBODY | {"GIT_CEILING_DIRECTORIES": os.path.dirname(top)}
    return kept if ours else kept | {"GIT_WORK_TREE": top}


def _verb(words: Iterable[str]) -> str:
    return next(word for word in words if word[0] != "-" and "=" not in word)


def _is_passing(said: str) -> bool:
    if "cannot lock ref" in said and "rejected" not in said:
        return True
    if "bad object worktrees/" in said:
        # Another process is just making that tree, and its HEAD names nothing yet.
        return True
    return any(word in said for word in _PASSING)


def _say(text: str) -> None:
    print(f"hypervisor: {text}", file=sys.stderr, flush=True)


def _patience() -> float:
    try:
        return max(0.0, float(os.environ.get(_PATIENCE) or _PATIENCE_SECONDS))
    except ValueError:
        return _PATIENCE_SECONDS


def tracks(folder: str, name: str) -> bool:
    """True if git tracks anything below `name` in `folder`; False without git or a repository."""
    try:
        code, out, _ = Git(folder).run("--literal-pathspecs", "ls-files", "-z", "--", name)
    except HypervisorError:
        return False
    return code == 0 and bool(out)


def _packed(path: str, name: str) -> str | None:
    try:
        if os.stat(path).st_size > _LARGEST:
            return None
    except OSError:
        return None
    text = _read(path)
    at = text.find(f" {name}\n")
    return _commit(text[text.rfind("\n", 0, at) + 1 : at]) if at >= 0 else None


def _commit(text: str) -> str | None:
    text = text.rstrip("\n")
    return text if len(text) in (40, 64) and _HEX.issuperset(text) else None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as source:
            return source.read(_LARGEST)
    except (OSError, ValueError):
        return ""
