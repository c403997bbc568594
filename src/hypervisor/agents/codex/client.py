"""`codex exec` as a worker: the queue through MCP, a sandbox and a permission profile that fail
closed, a home of its own.

Commits are made by the queue's server, which stands outside of the sandbox: no worker can write
into a repository.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from hypervisor.agents import client
from hypervisor.agents.codex import login, profile, rollout
from hypervisor.agents.codex.events import CodexStream
from hypervisor.ledger import Claim
from hypervisor.system import protected
from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.system.text import count, one_line

INSTALL = "npm install -g @openai/codex"
PROMPT = "prompts/codex-task-worker.md"
_TRY_SECONDS = 60.0
# What a user may add of the client's options; all else might open the profile.
_MODELS = ("-m", "--model", "-i", "--image")
_SETTINGS = ("-c", "--config")
# A model, its provider, how it is to think; no key of another kind begins so.
_OF_MODELS = ("model", "service_tier")


class Codex(client.Headless):
    """The client; `words` are added to its command line."""

    name = "codex"
    start_gap = 0.5

    def __init__(self, model: str | None, turns: int, words: Sequence[str]) -> None:
        self.model, self._turns, self._words = model, turns, list(words)
        self._program = ""

    def check(self, root: str) -> None:
        """Find the client, its login and its sandbox, and set up the server that it will start.
        Raises HypervisorError."""
        self._program = client.find("codex", INSTALL)
        check_words(self._words)
        login.check()
        client.set_up_server()
        # Of another pool's sandboxes at the same place one may fail now and then.
        why = self._refused(root) and self._refused(root)
        if why:
            raise HypervisorError(
                f"codex can't run a command in its sandbox here: {why}", "hypervisor doctor"
            )

    def _refused(self, root: str) -> str:
        return profile.refused(self._program, _TRY_SECONDS, root)

    def start(self, place: client.Place, claim: Claim | None = None) -> client.Start:
        """Lay out the agent's home, and return how to start it."""
        home = place.folder / "home"
        home.mkdir(mode=0o700, exist_ok=True)
        folder = place.tree or place.root
        server = profile.server(
            client.own_program(), place.queue, folder, place.tree is not None,
            *client.server_environment(place),
        )  # fmt: skip
        told = profile.config(place.root, folder, home, server)
        (home / "config.toml").write_text(told, encoding="utf-8")
        # In it the sandboxes of one folder count what they have laid there, one for all of them.
        shared = place.folder.parent / "sandboxes"
        shared.mkdir(mode=0o700, exist_ok=True)
        environment = client.scrubbed(place, frozenset((*login.KEYS, *login.SERVICE)))
        environment |= {**login.lend(home), "TMPDIR": str(shared)}
        words = [self._program, "exec", "--json", "--strict-config", "--ignore-rules"]
        words += ["--skip-git-repo-check"]
        if self.model is not None:
            words += ["-m", self.model]
        return client.Start([*words, *self._words, "-"], environment, self._prompt(place))

    def stream(self, place: client.Place) -> CodexStream:
        return CodexStream(place.folder / "home", self._turns)

    def clear_away(self, root: str) -> None:
        """Remove the empty folders that the sandbox of a command leaves if it is killed."""
        for name in profile.LAID:
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join(root, name))

    def transcript(self, place: client.Place, stream: client.Stream) -> str | None:
        return rollout.find(place.folder / "home", stream.session)

    def _prompt(self, place: client.Place) -> str:
        items = place.agent.items
        most = "tasks until none is left"
        if items is not None:
            most = f"at most {count(items, 'task')}, then stop"
        git = "What you leave changed is committed when you complete the task."
        off = ", ".join(f"`{name}`" for name in (*protected.FOLDERS, *protected.FILES))
        return (
            client.prompt(PROMPT)
            + f"\n## What is off limits\n\n{off}\n\n## This run\n\nClaim and complete {most}. "
            f'Call `claim_next_task` with `caller` "codex" and no project. '
            f"{git if place.tree is not None else ''}\n"
        )


def check_words(words: Sequence[str], settings: tuple[str, ...] = _OF_MODELS) -> None:
    """Raise UsageError for a word of a user's that might open the profile; `settings` are the
    beginnings of those that may be set."""
    rest = iter(words)
    for word in rest:
        name, _, value = word.partition("=")
        if name in _MODELS:
            if not value:
                next(rest, "")
            continue
        setting = next(rest, "") if name in _SETTINGS and not value else value
        if name not in _SETTINGS or not setting.startswith(settings):
            raise UsageError(
                f"it runs in a permission profile of its own, so not with {one_line(word)}",
                f"leave it out; {', '.join(_MODELS)} and {' or '.join(_SETTINGS)} "
                f"{settings[0]}…=VALUE may be added",
            )
