"""The Gemini harness itself, on the pinned client."""

from __future__ import annotations

import pytest

from e2e.answers import Answer, text, tool
from e2e.gemini_client import VERSION, GeminiMachine
from e2e.gemini_model import GeminiConversation, GeminiModel, daily_quota

pytestmark = pytest.mark.e2e


def test_a_session_uses_a_tool_and_its_tokens_are_exact(
    gemini: GeminiMachine, gemini_model: GeminiModel
) -> None:
    def script(conversation: GeminiConversation) -> Answer:
        if not conversation.tool_uses:
            return tool("read_file", {"file_path": "note.txt"})
        return text("it says: " + conversation.last_result)

    (gemini.project / "note.txt").write_text("forty-two\n")
    gemini_model.main = script
    run = gemini.session("What does the note say?", "--skip-trust")
    assert run.rc == 0, run.stderr
    assert "forty-two" in run.text
    assert [event["status"] for event in run.of("result")] == ["success"]
    assert len(gemini_model.requests) == 2
    assert "What does the note say?" in gemini_model.requests[0].conversation.prompt
    assert run.tokens == gemini_model.tokens()


def test_clients_with_names_of_their_own_are_told_apart_and_leave_no_process(
    gemini: GeminiMachine, gemini_model: GeminiModel
) -> None:
    gemini_model.worker = lambda conversation: text(f"I am {conversation.agent}")
    env = {"GOOGLE_GEMINI_BASE_URL": gemini_model.url_of("w1")}
    assert gemini.session("Who are you?", "--skip-trust", env=env).text == "I am w1"
    assert gemini_model.agents == ["w1"]
    assert gemini_model.other == []
    assert gemini.processes() == []


def test_a_daily_quota_ends_the_session_with_an_error_in_its_stream(
    gemini: GeminiMachine, gemini_model: GeminiModel
) -> None:
    gemini_model.main = lambda conversation: daily_quota()
    run = gemini.session("Go.", "--skip-trust")
    assert run.rc != 0
    assert run.of("result")[-1]["status"] == "error"
    assert gemini_model.tokens().total == 0


def test_the_client_is_the_pinned_one(gemini: GeminiMachine) -> None:
    assert gemini.cli("--version").stdout.strip() == VERSION
