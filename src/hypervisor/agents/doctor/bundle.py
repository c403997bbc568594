"""Diagnostics for a bug report: what helps to find a fault, and nothing of the user's own.

What goes in is chosen, not what stays out: findings, counts, names of settings. Texts of tasks,
workers and error messages have no way in. What is left is searched for keys, folders and names.
"""

from __future__ import annotations

import getpass
import io
import json
import os
import platform
import re
import sqlite3
import sys
import tarfile
import time
from collections.abc import Mapping

from hypervisor import __version__
from hypervisor.agents.clients import CLIENTS, client
from hypervisor.agents.finding import Finding
from hypervisor.config.roots import SETTINGS
from hypervisor.system import hook_errors
from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.system.processes import Late, within
from hypervisor.system.redact import Redactor
from hypervisor.system.spans import span

_PREFIXES = ("HYPERVISOR_", "XDG_", *(word for name in CLIENTS for word in client(name).variables))
_FRAME = re.compile(r'^  File "([^"]*)", line (\d+), in (\S+)$')
_RAISED = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"']+")
# Names that are words of the program or of every machine say nothing about a person.
_COMMON = frozenset(("root", "user", "admin", "home", "hypervisor", "localhost", *CLIENTS))

ABOUT_IT = f"""\
Diagnostics of hypervisor {__version__}, made by `hypervisor doctor --bundle`.
Look through them before you send them:

findings.json    what `hypervisor doctor` says
machine.json     this machine, and the names (no values) of variables and settings
ledger.json      counts
hook-error.json  where a hook failed last

Left out: keys, texts of tasks and workers, names of tasks, queues, users and folders.
"""


def write(path: str, root: str, findings: list[Finding], seconds: float) -> list[str]:
    """Write the bundle to the new file `path` (mode 0600) and return the names of its parts.

    Raises HypervisorError if the file exists or can't be written.
    """
    veil = _Veil(root)
    parts = {
        "README.txt": ABOUT_IT,
        "findings.json": _json([_told(finding) for finding in findings]),
        "machine.json": _json(_machine(root)),
        "ledger.json": _json(_ledger(root, seconds)),
        "hook-error.json": _json(_hook_error(root)),
    }
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, text in parts.items():
            data = veil.over(text).encode("utf-8", "replace")
            member = tarfile.TarInfo(f"hypervisor-diagnostics/{name}")
            member.size, member.mtime, member.mode = len(data), int(time.time()), 0o600
            archive.addfile(member, io.BytesIO(data))
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise HypervisorError(f"{path} exists", "name another: --bundle FILE") from None
    except OSError as error:
        raise HypervisorError(f"{path}: {error.strerror}", "name another: --bundle FILE") from None
    with os.fdopen(file, "wb") as out:
        out.write(raw.getvalue())
    return list(parts)


class _Veil:
    """Takes keys, folders, names and addresses out of a text."""

    def __init__(self, root: str) -> None:
        self._keys = Redactor()
        home = os.path.expanduser("~")
        places = {root: "ROOT", os.path.realpath(home): "HOME", home: "HOME"}
        here = os.path.realpath(__file__)
        places[here[: here.rindex("/src/hypervisor/")] if "/src/" in here else here] = "PLUGIN"
        self._places = sorted(places.items(), key=lambda place: len(place[0]), reverse=True)
        names = {getpass.getuser(), os.path.basename(home), os.path.basename(root)}
        names |= {platform.node(), platform.node().partition(".")[0]}
        known = [re.escape(name) for name in names if len(name) > 2 and name not in _COMMON]
        # An underscore is no border of a name: `alice_2` tells of alice.
        self._names = re.compile(
            rf"(?<![A-Za-z0-9])(?:{'|'.join(sorted(known, key=len, reverse=True))})(?![A-Za-z0-9])"
            if known
            else r"(?!)"
        )

    def over(self, text: str) -> str:
        """Return `text` with marks in place of all that."""
        text = self._keys.text(text)
        for place, mark in self._places:
            if len(place) > 1:
                text = text.replace(place, mark)
        text = _ADDRESS.sub("ADDRESS", text)
        text = _MAIL.sub("MAIL", text)
        text = self._names.sub("NAME", text)
        # Folders of other users, and temporary ones that may bear a name.
        return re.sub(r"(/(?:home|Users))/[^/\s\"']+", r"\1/NAME", text)


def _told(finding: Finding) -> dict[str, str]:
    """Return a finding without the words of others, and without mends, which may quote them."""
    return {
        "about": finding.about,
        "what": finding.what,
        "state": str(finding.state),
        "text": finding.text,
    }


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _machine(root: str) -> dict[str, object]:
    return {
        "hypervisor": __version__,
        "python": sys.version.split()[0],
        "sqlite": sqlite3.sqlite_version,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "variables": sorted(name for name in os.environ if name.startswith(_PREFIXES)),
        "settings": _settings(root),
    }


def _settings(root: str) -> list[str]:
    """Return the names of the keys that are set: the schema's own, and never a name in them."""
    from hypervisor.config import defaults
    from hypervisor.config.toml import read_toml

    try:
        found = read_toml(os.path.join(root, SETTINGS))
    except UsageError:
        return []

    known = set(re.findall(r"\b[a-z_]+\b", json.dumps(_names(vars(defaults)))))
    return sorted(name for name in _names(found) if set(name.split(".")) <= known)


def _names(table: Mapping[str, object], above: str = "") -> list[str]:
    names = []
    for key, value in table.items():
        if not str(key).startswith("_"):
            names.append(f"{above}{key}")
            if isinstance(value, dict):
                names += _names(value, f"{above}{key}.")
    return names


def _ledger(root: str, seconds: float) -> dict[str, object]:
    """Return counts alone: queues are numbered, for their names may tell of the work."""
    try:
        return within(seconds, lambda: _counts(root))
    except Late:
        return {"error": f"no answer within {span(seconds)}"}
    except Exception as error:  # whatever it is, the rest of the bundle is made
        return {"error": type(error).__name__}


def _counts(root: str) -> dict[str, object]:
    from hypervisor.ledger import Ledger

    with Ledger.open(root, look=True) as ledger:
        queues = [
            {
                "number": row.no,
                "generation": row.generation,
                "state": row.state,
                "purpose": row.purpose,
                "counts": ledger.queues.counts(row.no),
            }
            for row in ledger.queues.all()
        ]
    return {"queues": queues}


def _hook_error(root: str) -> list[str]:
    """Return where the last failed hook failed: frames and the error's type, not its words."""
    kept = hook_errors.last(root)
    if kept is None:
        return []
    lines = kept[0].splitlines()
    told = []
    after_frame = False
    for line in lines[1:]:
        frame = _FRAME.match(line)
        raised = _RAISED.match(line)
        if frame:
            told.append(f"{frame[1]}:{frame[2]} in {frame[3]}")
        elif raised and after_frame:
            told.append(raised[1])
        after_frame = bool(frame) or (after_frame and line.startswith("    "))
    return told
