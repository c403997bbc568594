"""How many tasks of a real project get which hint, and how many name the same file.

    python bench/hints.py ROOT [FOLDER]

Every task file below FOLDER (default: ROOT) is read as if it were open, whatever its status. Text
that only an ended task has (from the first heading for notes or a final summary on) is left out: it
tells of files as they were called then. What a hint says is printed, to be judged by eye.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

_NOTES = re.compile(r"^## (?:Implementation Notes|Final Summary|Notes|Comments).*", re.MULTILINE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", help="the project's root")
    parser.add_argument("folder", nargs="?", help="where its tasks are")
    args = parser.parse_args()
    from hypervisor.agents.next_step import _apart
    from hypervisor.config.settings import load
    from hypervisor.intake.preflight.mentions import Mentions
    from hypervisor.system.errors import BrokenFile
    from hypervisor.tasks import read
    from hypervisor.tasks.front_matter import task_of

    root = os.path.abspath(args.root)
    settings, mentions = load(root), Mentions(root, instructions=False)
    tasks, unreadable = 0, 0
    kinds: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    named: list[list[str]] = []
    for path in sorted(Path(args.folder or root).rglob("*.md")):
        try:
            document = read.read(str(path))
        except BrokenFile:
            unreadable += 1
            continue
        if task_of(document, settings) is None:
            continue
        tasks += 1
        inside = os.path.relpath(path, root)
        found = mentions.of(document, inside)
        named.append(list(found.files))
        whole.update(hint.kind for hint in found.hints)
        document.text = _NOTES.split(document.text)[0]
        for hint in mentions.of(document, inside).hints:
            kinds[hint.kind] += 1
            print(f"{inside}: {hint.reason}")
    at_once, shared = _apart(named)
    print(f"\n{tasks} tasks, {unreadable} files that can't be read\n")
    print("| hint | tasks, as they were when open | with their notes |\n|---|---|---|")
    for kind in ("missing_file", "nothing_to_do", "orders"):
        print(f"| {kind} | {kinds[kind]} | {whole[kind]} |")
    print(f"\n{sum(map(bool, named))} tasks name files that are there; at once: {at_once}")
    print("\n".join(f"{one['path']}: {one['items']} tasks" for one in shared))
    return 0


if __name__ == "__main__":
    sys.exit(main())
