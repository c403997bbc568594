"""Gemini CLI."""

from __future__ import annotations

from hypervisor.agents.clients import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hypervisor.agents.client import Headless, Judge
    from hypervisor.agents.finding import Finding
    from hypervisor.agents.usage import Usage


# The names of its own that events have -> the handlers'.
EVENTS = {
    "BeforeAgent": "UserPromptSubmit",
    "AfterTool": "PostToolUse",
    "AfterAgent": "Stop",
    "BeforeTool": "PreToolUse",
    "PreCompress": "PreCompact",
}
# These are called so by other clients too; it alone tells their time.
_SHARED = ("SessionStart", "SessionEnd", "Notification")


class GeminiCLI(Client):
    """See `Client`."""

    title = "Gemini CLI"
    variables = ("GEMINI_", "GOOGLE_")
    needs_server = True
    no_branch = "its policy keeps its workers out of hidden folders, where the trees are"
    # What is said then stands before the first prompt: a command is none any more behind it.
    hears_at_start = False

    def headless(self, *, model: str | None, turns: int, words: Sequence[str]) -> Headless:
        from hypervisor.agents.gemini.client import Gemini

        return Gemini(model, turns, words)

    def judge(self, *, model: str | None, words: Sequence[str]) -> Judge:
        from hypervisor.agents.gemini.judging import GeminiJudge

        return GeminiJudge(model, words)

    def look(self, root: str, seconds: float) -> list[Finding]:
        from hypervisor.agents.gemini import doctor

        return doctor.look(root, seconds)

    def sent(self, event: str, payload: Mapping[str, object]) -> bool:
        return event in EVENTS or ("timestamp" in payload and event in _SHARED)

    def read(self, event: str, payload: dict[str, object]) -> tuple[str, dict[str, object]]:
        from hypervisor.agents.gemini import events

        return events.read(event, payload)

    def answer(self, event: str, given: dict[str, object]) -> dict[str, object] | None:
        from hypervisor.agents.gemini import events

        return events.answer(event, given)

    def wrote(self, first: str) -> bool:
        return '"projectHash"' in first

    def sum_up(self, rows: Iterable[str]) -> Usage:
        from hypervisor.agents.gemini import transcript

        return transcript.sum_up(rows)


CLIENT = GeminiCLI()
