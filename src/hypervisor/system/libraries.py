"""Libraries that few need and that may not be there: the command that installs them.

The name `hypervisor` on the public index is not this program, so no command installs that name. The
launcher makes an environment from the pins; where there is no launcher, pip installs the library
itself, in the range that this installation asks for, or uv, whose environments have no pip.
"""

from __future__ import annotations

import os
import sys

from hypervisor.system.text import shell


def launcher() -> str | None:
    """Return the path of `bin/hypervisor`, None where the program was installed as a package."""
    folder = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    path = os.path.join(folder, "bin", "hypervisor")
    return path if os.access(path, os.X_OK) else None


def origin() -> str:
    """Return the folder or the address of git that holds the plugin: where this program runs from,
    or was installed from; "" where nothing says."""
    program = launcher()
    if program is not None:
        return os.path.dirname(os.path.dirname(os.path.realpath(program)))
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import unquote, urlsplit

    try:
        told = json.loads(distribution("hypervisor").read_text("direct_url.json") or "{}")
        url = str(told.get("url", ""))
        if "vcs_info" in told:
            return url
        folder = unquote(urlsplit(url).path) if url.startswith("file:") else ""
    except (PackageNotFoundError, ValueError, AttributeError):
        return ""
    return folder if os.path.exists(os.path.join(folder, "bin", "hypervisor")) else ""


def environments() -> str:
    """Return the folder in which the launcher keeps its environments, if this Python is in one."""
    return os.path.dirname(os.path.dirname(os.path.dirname(sys.executable)))


def mend(extra: str, call: str) -> str:
    """Return the command that installs what `extra` needs; `call` is how the launcher is called so
    that it sees to that by itself, with `{}` for the launcher."""
    program = launcher()
    if program is not None:
        return call.replace("{}", shell(program))
    from importlib.metadata import PackageNotFoundError, requires
    from importlib.util import find_spec

    try:
        told = requires("hypervisor") or []
    except PackageNotFoundError:
        told = []
    marker = f'extra == "{extra}"'
    # Each tool that builds packages has quotes of its own.
    wanted = [one.partition(";")[0].strip() for one in told if marker in one.replace("'", '"')]
    pip, uv = [sys.executable, "-m", "pip", "install"], ["uv", "pip", "install", "--python"]
    install = pip if find_spec("pip") else [*uv, sys.executable]
    return shell([*install, *(wanted or [_LIBRARIES[extra]])])


_LIBRARIES = {"mcp": "mcp", "postgres": "psycopg-binary"}
