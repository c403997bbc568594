"""The libraries that few need: a call that needs one starts again where it is installed.

What the launcher can see, it sees. The user's configuration is read here alone, since a shell reads
no TOML; a note for the launcher spares the second start for as long as that file stays as it is.
"""

from __future__ import annotations

import os

from hypervisor.config import store
from hypervisor.config.roots import user_file
from hypervisor.config.toml import read_raw
from hypervisor.system.errors import HypervisorError

VARIABLE = "HYPERVISOR_EXTRAS"
NOTE = "store.note"
_POSTGRES = "postgres"


def complete(argv: list[str]) -> None:
    """Return if this process has the libraries that `argv` needs; else start the launcher in its
    place, with the same words and the extra that they need.

    Without a launcher beside the program it returns too: what is missing is told where it is used.
    """
    asked = os.environ.pop(VARIABLE, "").split()
    if _POSTGRES in asked or not _needs_postgres(argv):
        return
    from importlib.machinery import PathFinder

    if PathFinder.find_spec("psycopg_binary") is not None:
        return
    from hypervisor.system.libraries import launcher as own_launcher

    launcher = own_launcher()
    if launcher is None:
        return
    if store.VARIABLE not in os.environ:
        _note()
    os.execve(launcher, [launcher, *argv], os.environ | {VARIABLE: _POSTGRES})


def _needs_postgres(argv: list[str]) -> bool:
    if argv[:1] == ["move"] and any(word.startswith(store.SCHEMES) for word in argv[1:]):
        return True
    if store.VARIABLE in os.environ:
        return False
    try:
        raw = read_raw(user_file())
        # A key may spell its letters as escapes.
        return (b"postgres" in raw or b"\\" in raw) and store.address() is not None
    except (HypervisorError, OSError):
        # Whoever asks for the store says what is wrong.
        return False


def _note() -> None:
    """Note for the launcher that the user's configuration, as it is now, needs the extra."""
    from hypervisor.system.libraries import environments

    home = environments()
    draft = os.path.join(home, f"{NOTE}.{os.getpid()}")
    try:
        with open(draft, "w", encoding="utf-8", errors="surrogateescape") as out:
            out.write(f"{user_file()}\n{_POSTGRES}\n")
        os.replace(draft, os.path.join(home, NOTE))
    except OSError:
        return
