"""Scripted models that work a hypervisor queue by the book, and folders of tasks for them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from e2e.answers import Answer, ToolCall, bash, spawn, text, tool
from e2e.conversation import Conversation
from repository import REPO

REPOSITORY = REPO
QUEUE, SOURCE = "inbox", "tasks"
_CLAIM = re.compile(r"^claim (\S+)$", re.MULTILINE)
_ITEM = re.compile(r"^item: (\S+)$", re.MULTILINE)


def lay_out(folder: Path, count: int) -> list[Path]:
    """Write `count` ready task files and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(1, count + 1):
        path = folder / f"demo-{number:04d}.md"
        path.write_text(
            f"---\nid: demo-{number:04d}\ntitle: Rename key {number}\ntype: task\n"
            f"status: active\n---\n\n# Rename key {number}\n\nRename it.\n"
        )
        paths.append(path)
    return paths


def claim_of(conversation: Conversation) -> tuple[str, str] | None:
    """Return (token, item) of the claim that the last tool result handed out."""
    token = _CLAIM.search(conversation.last)
    item = _ITEM.search(conversation.last)
    return (token[1], item[1]) if token and item else None


def done(token: str, item: str, *, more: bool = True) -> Answer:
    """Report an item as done, and ask for the next one."""
    following = " --next" if more else ""
    return bash(f"hypervisor done {token}{following} --summary - <<'END'\ndid {item}\nEND")


def by_the_book(queue: str) -> Callable[[Conversation], Answer]:
    """A worker that takes item after item and reports each."""

    def worker(conversation: Conversation) -> Answer:
        if not conversation.tool_uses:
            return bash(f"hypervisor next {queue}")
        claim = claim_of(conversation)
        if claim is None:
            return ended(conversation)
        return done(*claim, more="one item only" not in conversation.first)

    return worker


def to_the_end(c: Conversation) -> Answer:
    """A worker of a pool on queue q that takes item after item until it is told to stop."""
    if not c.tool_uses:
        return bash("hypervisor next q")
    claim = claim_of(c)
    return done(*claim) if claim else text("ended my items")


def fan_out(queue: str, source: str, workers: int) -> Callable[[Conversation], Answer]:
    """A session that opens a queue, starts its workers in one message, and ends its turn.

    Told to wait in the foreground, it waits. It repeats what it has heard of the queue.
    """

    def main(conversation: Conversation) -> Answer:
        if not conversation.used("Bash"):
            return bash(f"hypervisor open {queue} {source}")
        if not conversation.used("Agent"):
            return [
                spawn("hypervisor:worker", f"queue {queue}", description=f"worker {number}")
                for number in range(workers)
            ]
        if "hypervisor wait" in conversation.last and "has drained" not in conversation.last:
            return bash(f"hypervisor wait {queue} --timeout 20")
        return text("heard: " + conversation.last[-300:])

    return main


class ByPlan:
    """A session that does what the plugin's own words tell it, and nothing else.

    `steps` are the commands that it begins with (open the queue, ask for the plan), `branch` is for
    workers in worktrees, and `asides` are words of the user's that have nothing to do with it, with
    their answers.
    """

    def __init__(
        self, *steps: str, branch: bool = False, asides: dict[str, str] | None = None
    ) -> None:
        self.summary = ""  # what it was told when it summed up
        self.asked = ""  # what it has put to the user
        self._branch = " --branch" if branch else ""
        self._steps = list(steps or (f"open {QUEUE} {SOURCE}", f"plan {QUEUE}{self._branch}"))
        self._asides = asides or {}
        self._then = ""  # to be run once the workers are started, or the user has said yes

    def __call__(self, conversation: Conversation) -> Answer:
        answer = self._obey(conversation)
        for words, aside in self._asides.items():
            if words in conversation.last:
                # A prompt may come together with what the program says.
                calls = answer if isinstance(answer, list) else [answer]
                return [text(aside), *(call for call in calls if isinstance(call, ToolCall))]
        return answer

    def _obey(self, conversation: Conversation) -> Answer:
        told = conversation.last
        if self._steps:
            return bash(f"hypervisor {self._steps.pop(0)}")
        if _last_command(conversation).startswith("hypervisor summary"):
            self.summary = told
            return text("SUMMED UP")
        if "Ask the user now" in told and "AskUserQuestion" in conversation.tools:
            self.asked, self._then = told, self._printed(told)
            return question("Go on?")
        if "Async agent launched" in told or conversation.last_use == "AskUserQuestion":
            following, self._then = self._then, ""
            return bash(following) if following else text("They are at work.")
        if started := self._started(told):
            self._then = self._printed(told)
            return started
        # What stops a batch names commands, too: for the user.
        ends = "Stop: " in told or "Nobody can be asked" in told
        command = "" if ends else self._printed(told)
        return bash(command) if command else text("heard")

    def _printed(self, told: str) -> str:
        """The command for the session itself that a text of the program names first."""
        verbs = "wait|plan|integrate|summary"
        named = re.search(rf"hypervisor ({verbs}) {QUEUE}\b(?: --[a-z][a-z-]*)*", told)
        if named and named[1] == "summary" and self._branch:
            # As the skill says it: merged first, and once.
            self._branch = ""
            return f"hypervisor integrate {QUEUE} && {named[0]}"
        return named[0] if named else ""

    @staticmethod
    def _started(told: str) -> Answer:
        """The workers that a plan names."""
        count = re.search(r"Start (one|\d+) workers?(?: of type (\S+))? in", told)
        prompt = re.search(rf"the prompt: (queue {QUEUE}.*)", told)
        if not count or not prompt:
            return None
        number = 1 if count[1] == "one" else int(count[1])
        kind = count[2] or "hypervisor:worker"
        return [spawn(kind, prompt[1], model="haiku") for _ in range(number)]


def _last_command(conversation: Conversation) -> str:
    """The command whose result the conversation has just been given; "" behind anything else."""
    uses = conversation.tool_uses
    if conversation.last_use != "Bash":
        return ""
    return str(uses[-1].input["command"]).rpartition(" && ")[2]


def question(words: str) -> ToolCall:
    """Ask the user, who may choose Yes or No."""
    options = [{"label": word, "description": word} for word in ("Yes", "No")]
    asked = {"question": words, "header": "Cost", "multiSelect": False, "options": options}
    return tool("AskUserQuestion", {"questions": [asked]})


def ended(conversation: Conversation) -> Answer:
    """A worker's last act, as its own text says."""
    if "SubagentHandback" in conversation.tools and not conversation.used("SubagentHandback"):
        return tool("SubagentHandback", {"message": "ended my items"})
    return text("ended my items")


def token_of(conversation: Conversation) -> str:
    """The claim that a worker took last, ended or not."""
    return _CLAIM.findall(conversation.text)[-1]


def edits(here: str = "") -> Callable[[Conversation], Answer]:
    """A worker that reads its task, edits it and reports it, item after item; `here` is what it
    asks for its first item with."""

    def worker(conversation: Conversation) -> Answer:
        if not conversation.tool_uses:
            return bash(f"hypervisor next {QUEUE}{here}")
        claim, used = claim_of(conversation), conversation.tool_uses[-1]
        if used.name == "Bash" and claim:
            return tool("Read", {"file_path": f"{SOURCE}/{claim[1]}.md"})
        if used.name == "Read":
            change = {"old_string": "Rename it.", "new_string": "Renamed."}
            return tool("Edit", {"file_path": used.input["file_path"], **change})
        if used.name == "Edit":
            item = Path(used.input["file_path"]).stem
            more = "one item only" not in conversation.first
            return done(token_of(conversation), item, more=more)
        return ended(conversation)

    return worker


def hypervisor(project: Path, *words: str, home: str) -> subprocess.CompletedProcess[str]:
    """Run the command line outside of any session, as the same user."""
    return subprocess.run(
        [str(REPOSITORY / "bin/hypervisor"), *words],
        cwd=project,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(project.parent / "home"),
            "HYPERVISOR_HOME": home,
            "HYPERVISOR_STATE": os.environ["HYPERVISOR_STATE"],
        },
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def summary(project: Path, queue: str, *, home: str) -> dict[str, Any]:
    """Return the structured summary of a queue."""
    asked = hypervisor(project, "summary", queue, "--json", home=home)
    assert asked.returncode == 0, asked.stderr
    told: dict[str, Any] = json.loads(asked.stdout)
    return told
