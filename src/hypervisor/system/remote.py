"""git speaks with another machine: asked for nothing, waited for while it is away."""

from __future__ import annotations

import os
import time

from hypervisor.system import waiting
from hypervisor.system.git import SSH, Git, GitError
from hypervisor.system.spans import span

# Said of a network that may come back. What a person has to mend is told at once.
_PASSING = (
    "unable to connect", "Could not resolve host", "Connection refused", "Connection reset",
    "Connection closed", "timed out", "No route to host", "unreachable", "hung up unexpectedly",
    "early EOF", "Broken pipe", "too slow", "Failed to connect", "Couldn't connect",
    "Temporary failure",
)  # fmt: skip
_SILENT_SECONDS = 0.5
# A server that works on what was pushed says nothing meanwhile; ssh asks it whether it is there.
_DEAD_SECONDS = 300
_SSH_OPTIONS = "-o BatchMode=yes -o ServerAliveInterval=15 -o ServerAliveCountMax=4"


def run_remote(git: Git, *words: str, fix: str = "") -> str:
    """Return what `git WORDS` prints, words that speak to another machine. ssh asks for no password
    either, and neither it nor HTTP listens for ever to a machine that has gone without a word.

    A machine that can't be reached is waited for, which is told on standard error; so is another
    git of this clone that is just noting what it has fetched. Raises GitError.
    """
    if not git.setting(SSH) and not {"GIT_SSH", "GIT_SSH_COMMAND"} & os.environ.keys():
        words = ("-c", f"{SSH}=ssh {_SSH_OPTIONS}", *words)
    for pair in ("http.lowSpeedLimit=1", f"http.lowSpeedTime={_DEAD_SECONDS}"):
        words = ("-c", pair, *words)
    begun, pause, said = time.monotonic(), 0.2, False
    until = begun + _patience()
    while True:
        try:
            out = git(*words, fix=fix)
        except GitError as error:
            left = until - time.monotonic()
            if left <= 0 or not _is_passing(error.said):
                raise
            if not said and time.monotonic() - begun > _SILENT_SECONDS:
                waiting.say(f"{error.message}; waiting for up to {span(max(1, round(left)))}")
                said = True
            time.sleep(min(pause, left))
            pause = min(pause * 2, 2.0)
            if git.beat is not None and pause == 2.0:
                git.beat()
        else:
            if said:
                waiting.say(f"git: the remote answers again after {span(time.monotonic() - begun)}")
            return out


def _is_passing(said: str) -> bool:
    if "cannot lock ref" in said and "rejected" not in said:
        return True
    if "bad object worktrees/" in said:
        # Another process is just making that tree, and its HEAD names nothing yet.
        return True
    return any(word in said for word in _PASSING)


def _patience() -> float:
    try:
        return waiting.patience()
    except ValueError:
        return waiting.SECONDS
