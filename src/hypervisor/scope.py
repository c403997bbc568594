"""`open --scope named`: a worker changes the files that its task names, and no others.

What the working tree looks like is kept at the claim and compared at `done`. Others work in the
same tree: what they may have changed meanwhile is what the items name that they held meanwhile.
On a branch nobody else works: what it changed is told by git.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from typing import Any

from hypervisor.config.roots import STATE, state_dir
from hypervisor.system.errors import HypervisorError
from hypervisor.system.files import fingerprint
from hypervisor.system.keys import key
from hypervisor.tasks import markdown

NAMED = "named"
_SKIPPED = frozenset((".git", STATE, "node_modules", ".venv", "__pycache__"))
# Nothing of a longer path, but for a leading `./`.
_BEFORE = r"(?:(?<![\w/-])(?<!\w\.)|(?<=\./)(?<!\.\./))"
_GLOB = re.compile(r"[\w./-]*\*[\w./*-]*")


def begin(root: str, token: str) -> None:
    """Keep how the tree looks at the claim `token`. Raises HypervisorError, OSError."""
    folder = os.path.join(state_dir(root), "scope")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with open(_place(root, token), "w", encoding="utf-8") as out:
        json.dump(_look(root), out)


def end(root: str, token: str) -> None:
    """Forget what `begin` kept."""
    try:
        os.unlink(_place(root, token))
    except FileNotFoundError:
        pass


def strays(root: str, token: str, own: Any, others: Iterable[Any]) -> list[str]:
    """Return the files changed since `begin` that neither `own` item names nor any of `others`.

    Items are rows with `path`, `payload`, `files` and `instructions`. Empty if `begin` was never
    called: the queue's scope was another then. Raises HypervisorError, OSError.
    """
    try:
        with open(_place(root, token), encoding="utf-8") as source:
            before = json.load(source)
    except FileNotFoundError:
        return []
    return unnamed(root, _changed(root, before), (own, *others))


def unnamed(root: str, changed: Iterable[str], items: Iterable[Any]) -> list[str]:
    """Return the paths of `changed` that none of `items` names; see `strays`."""
    left = sorted(changed)
    for item in items:
        if not left:
            break
        text = _text(root, item)
        left = [path for path in left if path != item["path"] and not names(text, path)]
    return left


def names(text: str, path: str) -> bool:
    """True if `text` names the file at `path` (from the root): by its path, by a folder above it
    with a slash at the end, or by a pattern with `*`."""
    if path in text and re.search(rf"{_BEFORE}{re.escape(path)}(?![\w/-]|\.\w)", text):
        return True
    folder = os.path.dirname(path)
    while folder:
        pattern = rf"{_BEFORE}{re.escape(folder)}/(?![\w.*-])"
        if f"{folder}/" in text and re.search(pattern, text):
            return True
        folder = os.path.dirname(folder)
    return any(fnmatch.fnmatchcase(path, word.lstrip("./")) for word in _GLOB.findall(text))


def _place(root: str, token: str) -> str:
    return os.path.join(state_dir(root), "scope", key(token))


def _text(root: str, item: Any) -> str:
    parts = [item["payload"] or "", item["files"] or "", item["instructions"] or ""]
    if item["path"] is not None:
        try:
            with open(os.path.join(root, item["path"]), encoding="utf-8", errors="replace") as file:
                # A report of ours may tell of a file that was none of the task's business.
                parts.append(markdown.without_own_section(file.read()))
        except OSError:
            pass
    return "\n".join(parts)


def _changed(root: str, before: dict[str, Any]) -> set[str]:
    now = _look(root)
    old, new = before["files"], now["files"]
    changed = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
    if before["head"] != now["head"] and before["head"] is not None:
        told = _git(root, "diff", "--name-only", "-z", "--relative", before["head"], "HEAD")
        changed.update(path for path in told.split("\0") if path)
    return changed


def _look(root: str) -> dict[str, Any]:
    """Return the commit and the looks of the files that differ from it; of all without git."""
    try:
        prefix = _git(root, "rev-parse", "--show-prefix").strip("\n")
    except HypervisorError:
        return {"head": None, "files": dict(_walk(root, ""))}
    try:
        head: str | None = _git(root, "rev-parse", "--verify", "--quiet", "HEAD").strip()
    except HypervisorError:
        head = None
    told = _git(root, "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", ".")
    files = {}
    for entry in told.split("\0"):
        path = entry[3:].removeprefix(prefix)
        if entry and path.split("/", 1)[0] != STATE:
            files[path] = fingerprint(os.path.join(root, path))
    return {"head": head, "files": files}


def _walk(root: str, folder: str) -> Iterator[tuple[str, str | None]]:
    with os.scandir(os.path.join(root, folder)) as entries:
        for entry in entries:
            path = os.path.join(folder, entry.name)
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _SKIPPED:
                    yield from _walk(root, path)
            else:
                yield path, fingerprint(entry.path)


def _git(root: str, *words: str) -> str:
    try:
        asked = subprocess.run(
            ["git", "-c", "core.quotePath=false", "-c", "core.fsmonitor=false", *words],
            cwd=root,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except FileNotFoundError:
        raise HypervisorError("git is not installed", "install git") from None
    if asked.returncode != 0:
        said = asked.stderr.decode("utf-8", "replace").strip()
        raise HypervisorError(f"git {words[0]}: {said[:300]}", "mend that and try again")
    return asked.stdout.decode("utf-8", "surrogateescape")
