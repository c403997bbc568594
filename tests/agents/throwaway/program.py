"""The client itself: works off a queue. Called with our program, the queue, and where to write."""

from __future__ import annotations

import json
import subprocess
import sys

program, queue, path = sys.argv[1:]


def ours(*words: str) -> list[str]:
    print(json.dumps({"tool": words[0]}), flush=True)
    done = subprocess.run([program, *words], capture_output=True, text=True)
    return [] if done.returncode else done.stdout.splitlines()


with open(path, "w", encoding="utf-8") as written:
    written.write('{"throwaway": 1}\n')
    while told := ours("next", queue):
        claim, item = (line.partition(" ")[2] for line in told[:2])
        ours("done", claim, "--summary", "thrown away")
        written.write(json.dumps({"tokens": 100, "item": item}) + "\n")
        written.flush()
print(json.dumps({"text": "nothing left"}))
