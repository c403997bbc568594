"""Records a pool that is killed and goes on, for the README: python tools/recording.py [--write]

The commands are carried out in a temporary folder, and what they print is printed, but for the
lines of progress. With --write it is put into README.md, too.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
README = REPO / "README.md"
PLACES = ("France", "Japan", "Peru", "Kenya", "Norway", "Chile")
PROMPTS = "prompt\n" + "".join(f"What is the capital of {place}?\n" for place in PLACES)
# Stands for a model: it takes a second, and notes what it was asked.
ANSWER = '#!/bin/sh\necho "$1" >>asked.txt\nsleep 1\n'
WORK = "hypervisor work prompts.csv --workers 2 -- ./answer.sh {prompt}"
AFTERWARDS = ("hypervisor status", WORK, "sort asked.txt | uniq -c")
_SHOWN = re.compile(r"(?<=\n```console\n).*?(?=```\n)", re.DOTALL)
_PROGRESS = re.compile(r"^\w+: \d+/\d+ items ended.*\n", re.MULTILINE)


def recorded() -> str:
    """Return what a terminal shows: each command behind `$ `, and what it prints."""
    with tempfile.TemporaryDirectory() as at:
        folder = Path(at)
        (folder / "prompts.csv").write_text(PROMPTS)
        (folder / "answer.sh").write_text(ANSWER)
        (folder / "answer.sh").chmod(0o755)
        with shell(folder, "hypervisor --version") as first:  # sets itself up, if need be
            first.communicate()
        shown = f"$ {WORK} &\n{killed(folder)}$ kill -9 $!\n"
        for command in AFTERWARDS:
            with shell(folder, command) as process:
                shown += f"$ {command}\n{_PROGRESS.sub('', process.communicate()[0])}"
    return shown


def killed(folder: Path) -> str:
    """Kill the pool once two items have ended and two are in work; return what it had printed."""
    asked = folder / "asked.txt"
    with shell(folder, f"exec {WORK}") as pool:
        while pool.poll() is None and not (asked.exists() and asked.read_text().count("\n") == 4):
            time.sleep(0.01)
        pool.kill()
        return _PROGRESS.sub("", pool.communicate()[0])


def shell(folder: Path, command: str) -> subprocess.Popen[str]:
    """Start a command as it is typed, with this program on the PATH."""
    path = f"{REPO / 'bin'}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "LC_ALL": "C.UTF-8"}
    return subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def in_readme() -> str:
    """Return what README.md shows."""
    return _SHOWN.findall(README.read_text(encoding="utf-8"))[0]


if __name__ == "__main__":
    seen = recorded()
    print(seen, end="")
    if sys.argv[1:] == ["--write"]:
        text = README.read_text(encoding="utf-8")
        README.write_text(_SHOWN.sub(lambda _: seen, text, count=1), encoding="utf-8")
