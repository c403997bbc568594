"""What must hold after a chaos run: accepted at most once, none lost, every byte there."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from chaos_site import SOURCES, Site, task

from hypervisor.ledger import Ledger

FINAL = {"done", "blocked", "failed", "skipped"}
SECTION = re.compile(
    r"\n?<!-- hypervisor:report (\S+) -->\n.*?<!-- /hypervisor:report -->\n", re.DOTALL
)
STATUS = re.compile(r"^status: .*$", re.MULTILINE)


class Told(NamedTuple):
    """What a run ended with; `faults` are the sentences that do not hold."""

    figures: dict[str, Any]
    faults: list[str]


def check(site: Site, texts: dict[str, dict[str, str]], again: Counter[str]) -> Told:
    """Compare the ledger, the files and the commits with what the workers and the chaos noted.

    `again` is how often a person asked for a queue's items once more.
    """
    faults: list[str] = []
    notes = [json.loads(line) for line in Path(site.log).read_text().splitlines()]
    before = dict(os.environ)
    os.environ.update({k: v for k, v in site.env.items() if k in ("HYPERVISOR_STORE", "HOME")})
    try:
        with Ledger.open(str(site.project)) as ledger:
            rows = ledger.store.rows(
                "select q.name, q.generation, i.id, i.state, i.cause, i.pending, "
                # What a merge has set aside is accepted no more: a person may have it done again.
                "(select count(*) from claim c where c.item = i.no and c.outcome = 'done' "
                "and coalesce(c.merge, '') not like 'set aside%'), "
                "(select count(*) from claim c where c.item = i.no) "
                "from item i join queue q on q.no = i.queue order by i.no"
            ).fetchall()
            claims = ledger.store.rows(
                "select c.token, c.outcome, q.name, i.id, c.report from claim c "
                "join item i on i.no = c.item join queue q on q.no = i.queue"
            ).fetchall()
    finally:
        os.environ.clear()
        os.environ.update(before)
    faults += _ledger(site, texts, again, rows, claims, notes)
    faults += _marks(site, texts, rows, claims)
    faults += _bytes(site, notes)
    states = Counter(row[3] for row in rows)
    figures = {
        "items in the ledger, all generations": len(rows), "states": dict(states),
        "claims": len(claims), "claims by outcome": dict(Counter(row[1] for row in claims)),
        "files that workers wrote": sum("wrote" in one for one in notes),
        "`done` refused as late": sum(
            one.get("said") == "done" and one["code"] == 4 for one in notes),
    }  # fmt: skip
    return Told(figures, faults)


def _ledger(
    site: Site,
    texts: dict[str, dict[str, str]],
    again: Counter[str],
    rows: list[Any],
    claims: list[Any],
    notes: list[Any],
) -> list[str]:
    faults = [
        f"{q}/{g}/{i} was accepted {n} times" for q, g, i, *_, n, _ in rows if n > 1 + again[_of(q)]
    ]
    outcome = {token: how for token, how, *_ in claims}
    for one in notes:
        if one.get("said") == "done" and one["code"] == 0 and outcome[one["token"]] != "done":
            faults.append(f"`done {one['token']}` said 0, the ledger says {outcome[one['token']]}")
        if "Traceback (most" in one.get("told", ""):
            faults.append(f"{one.get('said', 'next')}: {one['told'][-1500:]}")
    done = {(_of(q), i) for q, _, i, *_, n, _ in rows if n}
    newest: dict[tuple[str, str], Any] = {}
    for row in rows:
        newest[_of(row[0]), row[2]] = row
    want = {
        "files": [f"t{number:03}" for number in range(site.items)],
        "boxes": [f"{SOURCES['boxes'][0]}#T{n:03}" for n in range(1, site.items + 1)],
        "rows": [f"r{number:03}" for number in range(1, site.items + 1)],
    }
    for queue, names in want.items():
        for name in names:
            row = newest.get((queue, name))
            if row is None:
                faults.append(f"{queue}/{name} is in no ledger")
            elif row[3] not in FINAL and not (row[3] == "cancelled" and (queue, name) in done):
                told = site.hypervisor("show", name).stdout
                faults.append(f"{queue}/{name} is {row[3]} after peace:\n{told}")
            elif row[5] is not None:
                faults.append(f"{queue}/{name}: its {row[5]} is still owed")
    accepted = Counter((_of(q), i) for q, _, i, *_, n, _ in rows if n)
    # What a person has edited, on the branch where its report is not, is work again.
    edited = {name for files in texts.values() for name in files if files[name] != task(name)}
    often = [(q, i, n) for (q, i), n in accepted.items() if n > 1 + again[q] and i not in edited]
    faults += [f"{q}/{i} was accepted in {n} generations" for q, i, n in often]
    return faults


def _of(queue: str) -> str:
    """Return whose items a queue has: what is pulled is a task of `files`."""
    return "files" if queue == "pull" else queue


def _marks(
    site: Site, texts: dict[str, dict[str, str]], rows: list[Any], claims: list[Any]
) -> list[str]:
    faults = []
    done = {(_of(q), i) for q, _, i, *_, n, _ in rows if n}
    newest = {i: state for q, _, i, state, *_ in rows if _of(q) == "files"}
    owner = {token: item for token, _, _, item, _ in claims}
    accepted = {token for token, how, *_ in claims if how == "done"}
    said: dict[str, set[str]] = defaultdict(set)
    for branch, files in texts.items():
        names = site.git("ls-tree", "-r", "--name-only", branch, "tasks").stdout.split()
        held: dict[str, list[str]] = defaultdict(list)
        for name in names:
            path = site.project / name
            if path.name.startswith(".hypervisor-"):
                # `git add --all` took along what a writer that was killed had begun.
                continue
            on_disk = branch == "main"
            if on_disk and not path.exists():
                continue
            text = path.read_text() if on_disk else site.git("show", f"{branch}:{name}").stdout
            found = re.match(r"---\nid: (\S+)\n", text)
            if not found:
                faults.append(f"{branch}:{name} has lost its head: {text[:60]!r}")
                continue
            held[found[1]].append(name)
            tokens = SECTION.findall(text)
            if len(tokens) > 1:
                faults.append(f"{branch}:{name} holds {len(tokens)} sections: {tokens}")
            for token in tokens:
                if (of := owner.get(token)) != found[1]:
                    faults.append(f"{branch}:{name} ({found[1]}) holds {token} of {of}")
                if token in accepted:
                    said[found[1]].add(token)
            ours = STATUS.sub("status: open", SECTION.sub("", text), count=1)
            if ours.rstrip("\n") != files.get(found[1], "").rstrip("\n"):
                faults.append(f"{branch}:{name}: {ours!r}, not {files.get(found[1])!r}")
        for name in files:
            if len(held[name]) != 1:
                faults.append(f"{branch}: {name} stands in {held[name] or 'no file'}")
    for queue, name in sorted(done):
        # What was undone is open work again, and may end otherwise.
        if queue == "files" and newest[name] == "done" and not said[name]:
            faults.append(f"{name} is accepted and no branch holds its report")
    spec = (site.project / SOURCES["boxes"][0]).read_text()
    for number in range(1, site.items + 1):
        ticked = f"- [X] T{number:03} [P] Write box {number}\n" in spec
        if not ticked and f"- [ ] T{number:03} [P] Write box {number}\n" not in spec:
            faults.append(f"the line of T{number:03} was changed")
        if ticked != (("boxes", f"{SOURCES['boxes'][0]}#T{number:03}") in done):
            faults.append(f"the box of T{number:03} is {'' if ticked else 'not '}ticked")
    return faults


def _bytes(site: Site, notes: list[Any]) -> list[str]:
    """Look for what each worker wrote: where it wrote it, anywhere else on disk, in any commit."""
    missing = {one["token"]: one for one in notes if "wrote" in one}
    for path in site.disk.rglob("*.txt"):
        one = missing.get(path.stem)
        if one is not None and path.read_text() == one["text"]:
            del missing[path.stem]
    objects = site.git("rev-list", "--all", "--reflog", "--objects").stdout.splitlines()
    for line in objects:
        name, _, path = line.partition(" ")
        token = Path(path).stem
        if path.endswith(".txt") and token in missing:
            text = subprocess.run(["git", "cat-file", "blob", name], cwd=site.project,
                                  capture_output=True, text=True).stdout  # fmt: skip
            if text == missing[token]["text"]:
                del missing[token]
    return [f"what {token} wrote to {one['wrote']} is nowhere" for token, one in missing.items()]
