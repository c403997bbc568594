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

from hypervisor.errors import HypervisorError
from hypervisor.text import one_line

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
    "early EOF", "Broken pipe", "Failed to connect", "Couldn't connect", "Temporary failure",
)  # fmt: skip
# As for the store: a network that is gone takes both away.
_PATIENCE = "HYPERVISOR_STORE_WAIT"
_PATIENCE_SECONDS = 90.0
_SILENT_SECONDS = 0.5


class GitError(HypervisorError):
    """git refused; `said` is what it said."""

    def __init__(self, what: str, said: str, fix: str = "") -> None:
        super().__init__(f"git {what}: {one_line(said, 300) or 'it failed'}", fix)
        self.said = said


class Git:
    """git in one folder. `git("status")` returns what it prints; raises GitError."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._hooks: bool | None = None

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
        options = [word for pair in self._settings() for word in ("-c", pair)]
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
        """Run git with `words` that speak to another machine; ssh asks for no password either.

        A machine that can't be reached is waited for, which is told on standard error; so is
        another git of this clone that is just noting what it has fetched.
        """
        batch = () if self.setting("core.sshCommand") else ("core.sshCommand=ssh -o BatchMode=yes",)
        words = (*(word for pair in batch for word in ("-c", pair)), *words)
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
        """Return a value of the user's own configuration, or None."""
        code, out, _ = self._plain("config", "--get", name)
        return out.rstrip("\n") if code == 0 else None

    def top(self) -> str:
        """Return the top folder of this working tree. Raises GitError where there is none."""
        return self("rev-parse", "--show-toplevel").removesuffix("\n")

    def commit_of(self, name: str) -> str | None:
        """Return the id of the commit that `name` stands for, or None."""
        code, out, _ = self.run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        return out.strip() if code == 0 else None

    def has(self, commit: str, within: str = "HEAD") -> bool:
        """True if `within` is `commit` or comes after it."""
        return self.ok("merge-base", "--is-ancestor", commit, within)

    def changed(self, base: str, commit: str) -> list[str]:
        """Return the paths that differ between two commits, from the top of the repository."""
        told = self("diff-tree", "-r", "-z", "--name-only", "--no-renames", base, commit)
        return told.split("\0")[:-1]

    def _settings(self) -> tuple[str, ...]:
        if self._hooks is None:
            told = self._plain("config", "--type=bool", "--get", "hypervisor.hooks")
            self._hooks = told[1].strip() == "true"
        return _QUIET if self._hooks else (*_QUIET, "core.hooksPath=/dev/null")

    def _plain(self, *words: str) -> tuple[int, str, str]:
        hooks, self._hooks = self._hooks, True
        try:
            return self.run(*words)
        finally:
            self._hooks = hooks


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
