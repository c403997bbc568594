"""What is asked of any client: whether it is there, how old it is, and its MCP servers."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from hypervisor.agents.finding import Finding, note, ok, wrong
from hypervisor.agents.mcp import SERVER
from hypervisor.system.processes import Late, Said, ask
from hypervisor.system.spans import span

_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)


def read_object(path: str) -> dict[str, object]:
    """Return the JSON object in `path`, comments allowed. Raises OSError and ValueError."""
    with open(path, encoding="utf-8") as source:
        text = source.read()
    value = json.loads(_COMMENT.sub(lambda found: found[1] or "", text))
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return value


def with_parents(folder: str) -> Iterator[str]:
    """Return the real path of `folder` and those of the folders above it, the nearest first."""
    place = os.path.realpath(folder)
    while True:
        yield place
        above = os.path.dirname(place)
        if above == place:
            return
        place = above


_VERSION = re.compile(r"\b(\d+)\.(\d+)\.(\d+)\b")
_UP = re.compile(r"\bconnected\s*$", re.IGNORECASE)


class Client(NamedTuple):
    """A client as it is examined: its names, what was tested, how it is installed, and what its
    environment says when it is asked."""

    about: str
    program: str
    oldest: tuple[int, int, int]
    newest: tuple[int, int, int]
    install: str
    env: Mapping[str, str] = MappingProxyType({})


def version(client: Client, seconds: float) -> tuple[str | None, Finding]:
    """Return the program's path, or None where there is nothing more to ask, and the finding."""
    path = shutil.which(client.program)
    mend = f"{client.install}@{_dotted(client.newest)}"
    tested = f"{_dotted(client.oldest)} to {_dotted(client.newest)}"
    if client.oldest == client.newest:
        tested = _dotted(client.newest)
    if path is None:
        return None, note(client.about, "installed", f"no {client.program} on PATH", mend)
    try:
        said = ask([path, "--version"], seconds, cwd="/", env=client.env)
    except Late:
        return None, late(client, "installed", [client.program, "--version"], seconds)
    except OSError as error:
        return None, wrong(client.about, "installed", "does not start", mend, error)
    number = _VERSION.search(said.out)
    if said.code != 0 or number is None:
        words = said.all.strip()
        return None, wrong(client.about, "installed", "does not start", mend, words)
    found = tuple(map(int, number.groups()))
    text = f"{number[0]} (tested: {tested})"
    if found < client.oldest:
        return path, wrong(client.about, "installed", f"{text}: older than any tested", mend)
    if found > client.newest:
        return path, note(client.about, "installed", f"{text}: newer than any tested")
    return path, ok(client.about, "installed", text)


def servers(
    client: Client,
    path: str,
    root: str | None,
    seconds: float,
    env: Mapping[str, str],
    absent: Finding,
) -> tuple[Said | None, Finding]:
    """Ask the client for its MCP servers, and return what it said and the finding.

    It starts them to find out. In a folder that is not trusted (`root` is None) the folder's own
    settings would be followed, so it is then asked from an empty one.
    """
    words = [path, "mcp", "list"]
    env = {**client.env, **env}
    try:
        if root is not None:
            said = ask(words, seconds, cwd=root, env=env)
        else:
            with tempfile.TemporaryDirectory(prefix="hypervisor-") as empty:
                said = ask(words, seconds, cwd=empty, env=env)
    except Late:
        return None, late(client, "mcp", [client.program, "mcp", "list"], seconds)
    except OSError as error:
        return None, wrong(client.about, "mcp", "not listed", f"{client.program} mcp list", error)
    for line in said.all.splitlines():
        name = re.match(rf"\W*(?:plugin:[\w-]+:)?{SERVER}\b", line)
        if name is None:
            continue
        how = re.split(r"(?: - |\) - )", line)[-1].strip(" ✓✔✗✘○")
        if _UP.search(line):
            return said, ok(client.about, "mcp", f"{SERVER} connected")
        mend = "hypervisor serve --setup"
        if "disabled" in how.lower():
            mend = f"{client.program} mcp enable {SERVER}"
        return said, wrong(client.about, "mcp", f"{SERVER} not connected", mend, how)
    return said, absent


def late(client: Client, what: str, words: list[str], seconds: float) -> Finding:
    """Return the finding for a question that was cut off."""
    return wrong(client.about, what, f"no answer within {span(seconds)}", " ".join(words))


def _dotted(number: tuple[int, int, int]) -> str:
    return ".".join(map(str, number))
