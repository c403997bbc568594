"""Gemini CLI as a judge: one turn, no tools, a home of its own."""

from __future__ import annotations

from collections.abc import Sequence

from hypervisor.agents import client
from hypervisor.agents.gemini import policy
from hypervisor.agents.gemini.client import INSTALL, GeminiStream, lay_out
from hypervisor.agents.gemini.transcript import figures
from hypervisor.system.processes import Said
from hypervisor.system.reading import at

# No text of its folder, of those above it, or of the user's own.
_SETTINGS: dict[str, object] = {
    "model": {"maxSessionTurns": 1},
    "context": {"memoryBoundaryMarkers": [], "discoveryMaxDirs": 0, "includeDirectoryTree": False},
    "skills": {"enabled": False},
}


class GeminiJudge(client.Judge):
    def __init__(self, model: str | None, words: Sequence[str]) -> None:
        self.name = model or "gemini"
        self._model, self._words = model, list(words)
        self._program = ""

    def check(self) -> None:
        client.only(self._words)
        self._program = client.find("gemini", INSTALL)

    def start(self, place: client.Place, text: str) -> client.Start:
        environment = lay_out(place, _SETTINGS)
        rules, system = place.folder / "policy.toml", place.folder / "system.md"
        rules.write_text(policy.closed(), encoding="utf-8")
        system.write_text(client.SYSTEM, encoding="utf-8")
        # The client looks for one from here up to the root, and takes the first.
        theirs = place.folder / "home/.gemini/.env"
        (place.tmp / ".env").symlink_to(theirs) if theirs.exists() else (place.tmp / ".env").touch()
        words = [self._program, "--skip-trust", "--approval-mode=default", "-e", "none"]
        words += ["--policy", str(rules), "-o", "stream-json"]
        words += ["-m", self._model] if self._model is not None else []
        environment["GEMINI_SYSTEM_MD"] = str(system)
        return client.Start(words, environment, client.unmentioned(text))

    def read(self, place: client.Place, said: Said) -> client.Answer:
        client.finished(GeminiStream(), said)
        events = [client.event(line) for line in said.out.split("\n")]
        texts = [
            str(one.get("content", ""))
            for one in events
            if one.get("type") == "message" and one.get("role") == "assistant"
        ]
        models = next((at(one, "stats", "models") for one in events if "stats" in one), None)
        named = models.items() if isinstance(models, dict) else ()
        used = {name: figures(told, "input_tokens", "total_tokens") for name, told in named}
        known = {name: one for name, one in used.items() if one is not None}
        text = "".join(texts)
        return client.priced(text, known) if known and len(known) == len(used) else (
            client.Answer(text)
        )  # fmt: skip
