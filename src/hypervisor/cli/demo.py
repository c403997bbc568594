"""`hypervisor demo`: lay out an example folder of tasks and triage it, to see what it does."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile

from hypervisor.system.errors import UsageError
from hypervisor.system.text import count, shell

SUMMARY = "lay out an example folder of tasks and triage it"
EXAMPLE = "hypervisor demo --dir example"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dir", metavar="DIR", help="a new folder (default: a temporary one)")
    parser.add_argument("--workers", type=int, default=4, metavar="N", help="processes (default 4)")


def run(args: argparse.Namespace) -> int:
    """Lay the folder out, then do what a person would type there."""
    from hypervisor.cli import main
    from hypervisor.cli.demo_files import lay_out

    if not 1 <= args.workers <= 64:
        raise UsageError("--workers takes a number from 1 to 64")
    folder = os.path.abspath(args.dir) if args.dir else tempfile.mkdtemp(prefix="hypervisor-demo-")
    print(f"{count(lay_out(folder), 'file')} laid out in {folder}\n")
    os.chdir(folder)
    program = shell(_program())
    words = ["triage", "tasks", "backlog", "notes", "--workers", str(args.workers), "--batch", "5"]
    print(f"$ {program} {' '.join(words)}", flush=True)
    # Files that are broken on purpose are findings, so only a failed item is a failure.
    code = main(words)
    print(
        f"\nwhat to try next:\n"
        f"  cd {shell(folder)}\n"
        f"  {program} summary triage --json\n"
        f"  {program} preflight tasks\n"
        f"  {program} undo triage\n"
        f"  {program} triage . --dry-run"
    )
    return code


def _program() -> str:
    """Return what starts this program from any folder: its name if that is on PATH."""
    from hypervisor import __file__ as package

    plugin = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(package))))
    launcher = os.path.join(plugin, "bin", "hypervisor")
    found = shutil.which("hypervisor")
    if found and (not os.path.exists(launcher) or os.path.samefile(found, launcher)):
        return "hypervisor"
    return launcher if os.path.exists(launcher) else "hypervisor"
