"""What a new version has taken out of the plugin, told once to those who had it."""

from __future__ import annotations

import os

from hypervisor.system import libraries
from hypervisor.system.errors import HypervisorError
from hypervisor.system.notes import home

PLUGIN = "hypervisor-tasks"
_KNOWN = f"knows-{PLUGIN}"
_MOVED = (
    "hypervisor: the tools of task_manager are no longer in this plugin, where every session paid "
    f"for them. Whoever uses them installs: claude plugin install {PLUGIN}@hypervisor "
    "(tell the user once)"
)


def moved() -> str | None:
    """Return the line for a user who had the MCP server in this plugin, at the first call; else
    None."""
    if not _had_server():
        return None
    return _MOVED if _note() else None


def known() -> None:
    """Note that this user's Claude Code starts the server: there is nothing to tell any more."""
    if os.environ.get("CLAUDE_CODE_SESSION_ID") or os.environ.get("CLAUDE_PLUGIN_ROOT"):
        _note()


def _had_server() -> bool:
    """True if the libraries of the server were ever installed for this user."""
    try:
        return any("+" in name and "mcp" in name for name in os.listdir(libraries.environments()))
    except OSError:
        return False


def _note() -> bool:
    """Note that it was told; False where it was already, or can't be noted."""
    try:
        folder = home()
        os.makedirs(folder, mode=0o700, exist_ok=True)
        os.close(os.open(os.path.join(folder, _KNOWN), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except (OSError, HypervisorError):
        return False
    return True
