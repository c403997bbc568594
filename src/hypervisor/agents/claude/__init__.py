"""Claude Code, whose plugin this is: the handlers of hooks know its events as they are."""

from __future__ import annotations

from hypervisor.agents.clients import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hypervisor.agents.client import Headless, Judge
    from hypervisor.agents.finding import Finding
    from hypervisor.agents.notice import Notice
    from hypervisor.agents.usage import Failure, Usage


class ClaudeCode(Client):
    """See `Client`."""

    title = "Claude Code"
    variables = ("CLAUDE", "ANTHROPIC_")
    hooks_allow = True
    tells_session = True

    def headless(self, *, model: str | None, turns: int, words: Sequence[str]) -> Headless:
        from hypervisor.agents.claude.client import Claude

        return Claude(model, turns, words)

    def judge(self, *, model: str | None, words: Sequence[str]) -> Judge:
        from hypervisor.agents.claude.judging import ClaudeJudge

        return ClaudeJudge(model, words)

    def look(self, root: str, seconds: float) -> list[Finding]:
        from hypervisor.agents.claude import doctor

        return doctor.look(root, seconds)

    def is_typed(self, prompt: str) -> bool:
        from hypervisor.agents.claude import said

        return said.is_typed(prompt)

    def has_typed(self, transcript: str, pattern: str) -> bool:
        from hypervisor.agents.claude import said

        return said.by_the_user(transcript, pattern)

    def may_ask(self, tool: str, folders: Iterable[str]) -> bool:
        from hypervisor.agents.claude import settings

        return settings.may_ask(tool, folders)

    def notice(self, prompt: str) -> Notice | None:
        from hypervisor.agents.claude import notices

        return notices.read(prompt)

    def notices(self, transcript: str) -> Iterator[Notice]:
        from hypervisor.agents.claude import notices

        return notices.in_transcript(transcript)

    def all_stopped(self, prompt: str) -> bool:
        from hypervisor.agents.claude import notices

        return notices.all_stopped(prompt)

    def started(self) -> str | None:
        from hypervisor.agents.claude import upgrade

        return upgrade.moved()

    def serves(self) -> None:
        from hypervisor.agents.claude import upgrade

        upgrade.known()

    def allowing(self, rules: Iterable[str]) -> str:
        from hypervisor.agents.claude import settings

        return settings.allowing(rules)

    def transcript_of(self, session: str, agent: str) -> str | None:
        base, dot, _ = session.rpartition(".jsonl")
        return f"{base}/subagents/agent-{agent}.jsonl" if dot else None

    def files(self, path: str) -> list[str]:
        from hypervisor.agents.claude import files

        return files.of_worker(path)

    def sum_up(self, rows: Iterable[str]) -> Usage:
        from hypervisor.agents.claude import transcript

        return transcript.sum_up(rows)

    def unseen(self, mode: str, environment: Mapping[str, str]) -> str:
        from hypervisor.agents.claude import unseen

        return unseen.kinds(mode, environment)

    def last_error(self, path: str) -> Failure | None:
        from hypervisor.agents.claude import failure

        return failure.last_error(path)

    def stopped_by_person(self, path: str) -> bool:
        from hypervisor.agents.claude import marks

        return marks.has(path, marks.STOPPED)

    def finished_at(self, path: str) -> float | None:
        from hypervisor.agents.claude import marks

        return marks.finished_at(path)


CLIENT = ClaudeCode()
