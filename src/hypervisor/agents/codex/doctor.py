"""Codex CLI: installed, logged in, able to run a command in the profile of our workers."""

from __future__ import annotations

from hypervisor.agents.codex import login, profile
from hypervisor.agents.codex.client import INSTALL
from hypervisor.agents.doctor import client
from hypervisor.agents.finding import Finding, ok, wrong

ABOUT = "codex"
CLIENT = client.Client(ABOUT, "codex", (0, 171, 0), (0, 171, 0), INSTALL)


def look(root: str, seconds: float) -> list[Finding]:
    """Return what there is to say of the client for the project at `root`."""
    path, installed = client.version(CLIENT, seconds)
    if path is None:
        return [installed]
    return [installed, _login(), _sandbox(path, seconds)]


def _login() -> Finding:
    if name := login.key():
        return ok(ABOUT, "login", f"{name} is set (not tried)")
    if login.file().exists():
        return ok(ABOUT, "login", f"{login.file()} is there (not tried)")
    text = "no login that a worker can use: no key in the environment, no auth.json"
    return wrong(ABOUT, "login", text, "codex login")


def _sandbox(path: str, seconds: float) -> Finding:
    why = profile.refused(path, seconds)
    if why:
        text = "no command of a worker would run: its sandbox or its profile is refused"
        return wrong(ABOUT, "sandbox", text, "codex sandbox -- true", why)
    return ok(ABOUT, "sandbox", "a command runs in the profile of our workers")
