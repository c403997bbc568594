"""How the client reaches its service: a key in the environment, or the login of its user."""

from __future__ import annotations

import os
from pathlib import Path

from hypervisor.system.errors import HypervisorError

KEYS = ("CODEX_API_KEY", "OPENAI_API_KEY")
# What else of the environment has to do with the service.
SERVICE = ("OPENAI_BASE_URL", "OPENAI_ORGANIZATION", "OPENAI_PROJECT", "CODEX_CA_CERTIFICATE")
# Another service than the client's own.
ADDRESS = "OPENAI_BASE_URL"


def user_folder() -> Path:
    """Return where the user's own settings of the client are."""
    return Path(os.environ.get("CODEX_HOME") or os.path.expanduser("~/.codex"))


def key() -> str:
    """Return the name of the variable that holds a key, "" for none."""
    return next((name for name in KEYS if os.environ.get(name)), "")


def file() -> Path:
    """Return the file in which the client keeps its user's login; it need not exist."""
    return user_folder() / "auth.json"


def check() -> None:
    """Raise HypervisorError where there is neither."""
    if not key() and not file().exists():
        named = " nor ".join(KEYS)
        raise HypervisorError(
            f"codex is not logged in: neither {named} is set, nor is there {file()}", "codex login"
        )


def lend(home: Path) -> dict[str, str]:
    """Link the login of the client's user into another `home` of it, unless there is a key; return
    the variables by which it knows the home and the key."""
    name = key()
    if not name and file().exists() and not (home / "auth.json").is_symlink():
        (home / "auth.json").symlink_to(file().resolve())
    return {"CODEX_HOME": str(home), **({KEYS[0]: os.environ[name]} if name else {})}
