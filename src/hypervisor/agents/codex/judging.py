"""`codex exec` as a judge: no tools, an answer by schema, a home of its own.

A model brings tools of its own: they are taken out of the client's catalog of models.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence

from hypervisor.agents import client
from hypervisor.agents.codex import login, profile, rollout
from hypervisor.agents.codex.client import INSTALL, check_words
from hypervisor.agents.codex.events import CodexStream
from hypervisor.agents.judge.verdict import SCHEMA
from hypervisor.agents.transcripts import rows_of
from hypervisor.agents.usage import Usage
from hypervisor.system.errors import HypervisorError
from hypervisor.system.processes import Late, Said, ask
from hypervisor.system.reading import at, objects

_SECONDS = 60.0
# The catalog of models is ours.
_MAY_SET = ("model_reasoning", "model_provider", "service_tier")
_BARE: dict[str, object] = {
    "tool_mode": None, "apply_patch_tool_type": None, "experimental_supported_tools": [],
    "model_messages": None, "base_instructions": client.SYSTEM,
}  # fmt: skip


class CodexJudge(client.Judge):
    """The client; `words` are added to its command line."""

    def __init__(self, model: str | None, words: Sequence[str]) -> None:
        self.name = model or "codex"
        self._words = [*(["-m", model] if model is not None else []), *words]
        self._program = self._catalog = ""

    def check(self) -> None:
        """Find the client, its login and its models. Raises HypervisorError."""
        check_words(self._words, _MAY_SET)
        self._program = client.find("codex", INSTALL)
        login.check()
        try:
            with tempfile.TemporaryDirectory(prefix="hypervisor-") as home:
                words = [self._program, "debug", "models", "--bundled"]
                said = ask(words, _SECONDS, cwd=home, env={"CODEX_HOME": home})
        except (Late, OSError) as error:
            said = Said(1, "", str(error))
        models = objects(at(client.event(said.out), "models"))
        if said.code or not models:
            raise HypervisorError(
                "codex does not tell its models, so their tools can't be taken from them", INSTALL
            )
        self._catalog = json.dumps({"models": [model | _BARE for model in models]})

    def start(self, place: client.Place, text: str) -> client.Start:
        home, schema = place.folder / "home", place.folder / "verdict.json"
        catalog = place.folder / "models.json"
        home.mkdir(mode=0o700)
        catalog.write_text(self._catalog, encoding="utf-8")
        schema.write_text(json.dumps(SCHEMA), encoding="utf-8")
        (home / "config.toml").write_text(profile.judge(catalog), encoding="utf-8")
        given = client.scrubbed(place, frozenset((*login.KEYS, *login.SERVICE)))
        words = [self._program, "exec", "--json", "--strict-config", "--ignore-rules"]
        words += ["--skip-git-repo-check", "--output-schema", str(schema)]
        return client.Start([*words, *self._words, "-"], given | login.lend(home), text)

    def read(self, place: client.Place, said: Said) -> client.Answer:
        """Return its answer, by the file of the run. Raises HypervisorError, also where it took
        more than one request: then it had tools."""
        home = place.folder / "home"
        stream = CodexStream(home, 1)
        client.finished(stream, said)
        path = rollout.find(home, stream.session)
        usage = rollout.sum_up(rows_of(path)) if path else Usage()
        asked = len(usage.requests)
        if asked != 1:
            raise HypervisorError(f"it took {asked} requests, where a judge takes one")
        told = [at(client.event(line), "item") for line in said.out.split("\n")]
        texts = [at(item, "text") for item in told if at(item, "type") == "agent_message"]
        [(_, model, figures, _)] = usage.requests
        return client.priced(str(texts[-1]) if texts else "", {model: figures})
