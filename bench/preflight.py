"""Pre-flight of task files against a bare loop of `frontmatter.load`, in turns, on this disk.

    python bench/preflight.py [--files 10000] [--rounds 5] [--dir FOLDER]

Each figure is the median of the rounds; the goal is at least 0.9 times the bare loop. Memory is the
peak of a process of its own, for files of the usual size and with bodies ten times as long (those
of up to 100,000 files). Beside it stands how long `find` takes to walk the folder. More than 5,000
files are looked at by several processes: `--files 1000000 --rounds 1` takes 4 GB of disk and the
better part of an hour. Without `--dir` the files are laid out in a temporary folder beside this
script, which is on a real disk.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

GOAL = 0.9
# So many files are laid out a second time, with longer bodies.
TWICE = 100_000
_TITLES = (
    "Rename config key in loader",
    "Fix the bug in the index rebuild",
    "Summarise the interviews",
    "Add an option for compact lists",
    "Update the schema of the export",
)
_SENTENCES = (
    "The loader reads the old key and falls back to the default without a word.",
    "Keep the order of the keys as it is and touch no other file.",
    "It happens on every second run, most often right after the index was rebuilt.",
    "See `lib/loader.py` and the notes of last week for what was tried before.",
    "The numbers in the table come from the run of 12 January and need a second look.",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", help="where to lay out the files")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.dir or Path(__file__).parent, prefix=".bench-") as at:
        small, large = Path(at, "small"), Path(at, "large")
        size = lay_out(small, args.files, 1)
        bare, checked = measure(small, args.rounds)
        walked = walk(small)
        peaks = [in_own_process(peak_of_check, small)]
        if args.files <= TWICE:
            lay_out(large, args.files, 10)
            peaks.append(in_own_process(peak_of_check, large))
        idle = in_own_process(peak_of_imports, small)
    ratio = statistics.median(bare) / statistics.median(checked)
    print(
        f"{args.files} files of {size / args.files / 1000:.1f} KB, {args.rounds} rounds in turns\n"
    )
    print("| | median s | files/s | ratio |")
    print("|---|---|---|---|")
    for name, seconds, share in (
        ("loop of frontmatter.load", statistics.median(bare), 1.0),
        ("preflight, every check", statistics.median(checked), ratio),
        ("find, which reads no file", walked, statistics.median(bare) / walked),
    ):
        print(f"| {name} | {seconds:.2f} | {args.files / seconds:,.0f} | {share:.2f} |")
    print("\n| peak memory | MB |")
    print("|---|---|")
    print(f"| libraries only | {idle / 1024:.1f} |")
    print(f"| preflight | {peaks[0] / 1024:.1f} |")
    for peak_of_long in peaks[1:]:
        print(f"| preflight, bodies ten times as long | {peak_of_long / 1024:.1f} |")
    print(f"\ngoal: a ratio of at least {GOAL}: {'met' if ratio >= GOAL else 'MISSED'}")
    return 0 if ratio >= GOAL else 1


def lay_out(folder: Path, count: int, longer: int) -> int:
    """Write `count` task files into sub-folders of 500 and return how many bytes they hold."""
    rng = random.Random(20260122)
    written = 0
    for number in range(count):
        project = folder / f"project-{number // 500:02}" / "tasks"
        if number % 500 == 0:
            project.mkdir(parents=True)
        text = task(rng, number, longer).encode()
        (project / f"aops-{number:08x}.md").write_bytes(text)
        written += len(text)
    return written


def task(rng: random.Random, number: int, longer: int) -> str:
    """Return a task file like those that task servers write: most are ready, some are done."""
    title = rng.choice(_TITLES)
    status = rng.choices(("active", "inbox", "done", "in_progress", "blocked"), (60, 20, 12, 4, 4))[
        0
    ]
    parent = f"aops-{number - number % 50:08x}" if number % 50 else "null"
    waits = f"\n- aops-{number - 1:08x}" if number % 20 == 7 else " []"
    kind = "epic" if number % 50 == 0 else rng.choice(("task", "bug", "feature"))
    paragraphs = "\n\n".join(
        " ".join(rng.choice(_SENTENCES) for _ in range(4)) for _ in range(6 * longer)
    )
    return (
        f"---\nid: aops-{number:08x}\ntitle: {title} {number}\npermalink: aops-{number:08x}\n"
        f"alias:\n- aops-{number:08x}-{title.lower().replace(' ', '-')}\n- aops-{number:08x}\n"
        f"type: {kind}\nstatus: {status}\npriority: {number % 5}\norder: 0\n"
        "created: '2026-01-20T06:51:36.823842+00:00'\n"
        "modified: '2026-01-20T07:00:05.737037+00:00'\n"
        f"parent: {parent}\ndepends_on:{waits}\nsoft_depends_on: []\ndepth: 2\nleaf: true\n"
        "project: aops\ncomplexity: mechanical\n---\n\n"
        f"# {title} {number}\n\n## Context\n\n{paragraphs}\n\n## Acceptance Criteria\n\n"
        "- [ ] tests pass\n- [ ] nothing else changed\n\n## Relationships\n\n"
        f"- [parent] [[{parent}]]\n"
    )


def measure(folder: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds of each round of the bare loop and of the pre-flight, run in turns."""
    bare, checked = [], []
    bare_loop(folder)
    preflight(folder)
    for number in range(rounds):
        for run, seconds in ((bare_loop, bare), (preflight, checked))[:: 1 if number % 2 else -1]:
            start = time.perf_counter()
            run(folder)
            seconds.append(time.perf_counter() - start)
    return bare, checked


def walk(folder: Path) -> float:
    """Return the seconds that `find` takes for the task files below `folder`."""
    start = time.perf_counter()
    subprocess.run(["find", str(folder), "-name", "*.md"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def bare_loop(folder: Path) -> None:
    """Load every file with python-frontmatter and keep nothing."""
    import frontmatter

    for place, _, names in os.walk(folder):
        for name in names:
            frontmatter.load(os.path.join(place, name))


def preflight(folder: Path) -> None:
    """Do what `hypervisor preflight` does but for printing."""
    from hypervisor.config.settings import load
    from hypervisor.intake.preflight import check
    from hypervisor.intake.sources import expand

    root = str(folder)
    settings = load(root)
    found = expand([root], root=root, cwd=root, settings=settings)
    checked = check(found, root=root, settings=settings)
    if not checked.ready or checked.broken or not checked.held or not checked.skipped:
        raise SystemExit(f"the files were not sorted as they should be: {checked.counts}")


def peak_of_check(folder: Path) -> int:
    preflight(folder)
    return peak()


def peak_of_imports(folder: Path) -> int:
    import hypervisor.cli.preflight  # noqa: F401 (to be weighed)

    return peak()


def peak() -> int:
    """Return the most memory this process ever held, in KiB."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        # Elsewhere; on Linux this figure would be the parent's, if that was larger.
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most // 1024 if sys.platform == "darwin" else most
    return int(status.split("VmHWM:")[1].split()[0])


def in_own_process(measured: Callable[[Path], int], folder: Path) -> int:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as pool:
        return pool.submit(measured, folder).result()


if __name__ == "__main__":
    sys.exit(main())
