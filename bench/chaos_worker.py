"""A worker of a chaos run: takes items, writes a file for each, and ends it somehow, or dies.

    chaos_worker.py QUEUE LOG SEED [--branch]     pulls until it is killed
    chaos_worker.py --once LOG SEED               is a pool's command: one item, in this folder

What it wrote and what was answered goes to LOG, one JSON object a line, after it has happened.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

LONGEST = float(os.environ.get("CHAOS_SECONDS", "2"))


def note(log: str, **told: object) -> None:
    """Append a line to the log in one write."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(descriptor, (json.dumps(told) + "\n").encode())
    os.close(descriptor)


def write(log: str, folder: str, token: str, dice: random.Random) -> bool:
    """Write a file that no other claim writes; False where the folder or the disk is away."""
    text = f"{token} {dice.getrandbits(128):032x}\n" * dice.randint(1, 40)
    path = Path(folder, "work", f"{token}.txt")
    try:
        path.parent.mkdir(exist_ok=True)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
    except OSError:
        return False
    note(log, wrote=str(path), token=token, text=text)
    return True


def say(log: str, dice: random.Random, token: str) -> None:
    """End a claim with a verb, or this process without a word."""
    verb = dice.choices(("done", "block", "fail", "release", "die"), (70, 6, 10, 6, 8))[0]
    if verb == "die":
        os._exit(9)
    reason = {"done": ["--summary", "did it"], "block": ["--reason", "a person has to look"],
              "fail": ["--reason", "did not work"], "release": []}  # fmt: skip
    words = ["hypervisor", verb, token, *reason[verb]]
    for _ in range(dice.randint(1, 3)):
        done = subprocess.run(words, capture_output=True, text=True)
        note(log, said=verb, token=token, code=done.returncode, told=done.stdout + done.stderr)
        if done.returncode in (0, 4):
            return
        time.sleep(1)


def pull(queue: str, log: str, dice: random.Random, branch: bool) -> None:
    """Take and end items until killed."""
    while True:
        words = ["hypervisor", "next", queue, "--json", "-n", str(dice.choice((1, 1, 1, 3)))]
        if branch:
            words[-2:] = ["--branch"]
        got = subprocess.run(words, capture_output=True, text=True)
        if got.returncode:
            if got.returncode != 3:
                note(log, next=queue, code=got.returncode, told=got.stdout + got.stderr)
            time.sleep(dice.uniform(0.2, 1))
            continue
        for claim in json.loads(got.stdout)["claims"]:
            note(log, claimed=claim["id"], token=claim["token"], queue=queue)
            wrote = write(log, claim["worktree"] or ".", claim["token"], dice)
            time.sleep(dice.uniform(0, LONGEST))
            if wrote:
                say(log, dice, claim["token"])


def main() -> None:
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    dice = random.Random(words[-1])
    if "--once" in sys.argv:
        time.sleep(dice.uniform(0, 0.5))
        token = os.environ["HYPERVISOR_TOKEN"]
        dice = random.Random(words[-1] + token)
        ok = write(words[0], ".", token, dice)
        time.sleep(dice.uniform(0, LONGEST))
        sys.exit(0 if ok and dice.random() < 0.85 else 1)
    pull(words[0], words[1], dice, "--branch" in sys.argv)


if __name__ == "__main__":
    main()
