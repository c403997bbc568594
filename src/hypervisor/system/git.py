"""git, started so that it asks nobody, leaves nothing running, and runs no hook unasked.

The user's configuration holds (filters, merge drivers, identity). What would stop a worker that
nobody watches does not: signing, editors, passwords. Hooks are run only where the user's own
configuration says `git config hypervisor.hooks true`, since a commit of ours is not the user's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from hypervisor.system.errors import HypervisorError
from hypervisor.system.text import one_line

_QUIET = (
    "commit.gpgSign=false",
    "merge.verifySignatures=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "core.fsmonitor=false",
    "submodule.recurse=false",
    "rerere.enabled=false",
    "advice.detachedHead=false",
)
# Those tell git of another repository than the one of the folder that it runs in.
_FOREIGN = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_LITERAL_PATHSPECS",
)
# Those only look: no hook of anybody's runs.
_LOOKS = frozenset((
    "config", "diff-index", "diff-tree", "for-each-ref", "merge-base", "rev-parse", "symbolic-ref",
    "var",
))  # fmt: skip
# What we want to know of the user's configuration, as git spells it.
_HOOKS, _SSH = "hypervisor.hooks", "core.sshcommand"
REMOTE = "hypervisor.remote"
_SETTINGS = f"^({_HOOKS}|{_SSH}|{REMOTE})$".replace(".", r"\.")
_ASK_NOBODY = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "true",
    "GIT_MERGE_AUTOEDIT": "no",
    "LC_ALL": "C",
}

# Said of a network that may come back. What a person has to mend is told at once.
_PASSING = (
    "unable to connect", "Could not resolve host", "Connection refused", "Connection reset",
    "Connection closed", "timed out", "No route to host", "unreachable", "hung up unexpectedly",
    "early EOF", "Broken pipe", "too slow", "Failed to connect", "Couldn't connect",
    "Temporary failure",
)  # fmt: skip
# As for the store: a network that is gone takes both away.
_PATIENCE = "HYPERVISOR_STORE_WAIT"
_PATIENCE_SECONDS = 90.0
_SILENT_SECONDS = 0.5
# A server that works on what was pushed says nothing meanwhile; ssh asks it whether it is there.
_DEAD_SECONDS = 300
_SSH_OPTIONS = "-o BatchMode=yes -o ServerAliveInterval=15 -o ServerAliveCountMax=4"


class GitError(HypervisorError):
    """git refused; `said` is what it said."""

    def __init__(self, what: str, said: str, fix: str = "") -> None:
        super().__init__(f"git {what}: {one_line(said, 300) or 'it failed'}", fix)
        self.said = said


class Git:
    """git in one folder. `git("status")` returns what it prints; raises GitError.

    It reads the user's configuration once, when that first counts: make a new one for each verb.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._configuration: dict[str, str] | None = None

    def at(self, folder: str) -> Git:
        """Return git in another folder of the same repository, where what was read of the
        configuration holds as well."""
        other = Git(folder)
        other._configuration = self._configured()
        return other

    def __call__(self, *words: str, fix: str = "", input: str | None = None) -> str:
        """Run git with `words` and return its output; it must succeed. Raises GitError."""
        code, out, said = self.run(*words, input=input)
        if code:
            verb = next(word for word in words if word[0] != "-" and "=" not in word)
            raise GitError(verb, said or out, fix)
        return out

    def ok(self, *words: str) -> bool:
        """True if git succeeds with `words`."""
        return self.run(*words)[0] == 0

    def run(
        self, *words: str, input: str | None = None, apart: bool = False
    ) -> tuple[int, str, str]:
        """Run git with `words`; return its exit code, its output, and its complaints.

        With `apart` it ends its work even if we are killed, and our whole group with us.
        """
        hooks = words[0] not in _LOOKS and self.setting(_HOOKS) == "true"
        pairs = _QUIET if hooks else (*_QUIET, "core.hooksPath=/dev/null")
        options = [word for pair in pairs for word in ("-c", pair)]
        environment = {k: v for k, v in os.environ.items() if k not in _FOREIGN} | _ASK_NOBODY
        try:
            process = subprocess.Popen(
                ["git", *options, *words],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=apart,
            )
        except FileNotFoundError as error:
            if error.filename == "git":
                raise HypervisorError("git is not installed", "install git") from None
            raise
        told = None if input is None else input.encode("utf-8", "surrogateescape")
        try:
            out, said = process.communicate(told)
        except BaseException:
            # Killed, it would leave its locks behind; interrupted, it ends by itself.
            process.communicate()
            raise
        return process.returncode, os.fsdecode(out), os.fsdecode(said).strip()

    def remote(self, *words: str, fix: str = "") -> str:
        """Run git with `words` that speak to another machine; ssh asks for no password either, and
        neither it nor HTTP listens for ever to a machine that has gone without a word.

        A machine that can't be reached is waited for, which is told on standard error; so is
        another git of this clone that is just noting what it has fetched.
        """
        if not self.setting(_SSH):
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
            else:
                if said:
                    _say(f"git: the remote answers again after {time.monotonic() - begun:.0f} s")
                return out

    def setting(self, name: str) -> str | None:
        """Return a value of the user's own configuration, or None, of those that count here."""
        return self._configured().get(name)

    def top(self) -> str:
        """Return the top folder of this working tree. Raises GitError where there is none."""
        return self("rev-parse", "--show-toplevel").removesuffix("\n")

    def refs(self, *words: str) -> dict[str, str]:
        """Return the commits of the refs that `git for-each-ref WORDS` finds, by full name. That of
        a name finds what lies beneath it, too."""
        told = self("for-each-ref", "--format=%(objectname) %(refname)", *words)
        found = (line.split(" ", 1) for line in told.split("\n")[:-1])
        return {name: commit for commit, name in found}

    def has(self, commit: str, within: str = "HEAD") -> bool:
        """True if `within` is `commit` or comes after it; False for a commit that is not here."""
        return self.ok("merge-base", "--is-ancestor", commit, within)

    def changed(self, base: str, commit: str) -> list[str]:
        """Return the paths that differ between two commits, from the top of the repository."""
        told = self("diff-tree", "-r", "-z", "--name-only", "--no-renames", base, commit)
        return told.split("\0")[:-1]

    def _configured(self) -> dict[str, str]:
        if self._configuration is None:
            told = self.run("config", "-z", "--get-regexp", _SETTINGS)[1].split("\0")[:-1]
            found = {name: value for name, _, value in (pair.partition("\n") for pair in told)}
            if found.get(_HOOKS, "true") not in ("true", "false"):
                # Its other words for yes and no are git's to read.
                found[_HOOKS] = self.run("config", "--type=bool", "--get", _HOOKS)[1].strip()
            self._configuration = found
        return self._configuration


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
