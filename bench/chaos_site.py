"""What a chaos run stands on: a project on a small disk, three queues, a ledger, and a clock."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from server import Server

HERE = Path(__file__).resolve().parent
BIN = HERE.parent / "bin"
DISK_MIB = 48
SOURCES = {
    "files": ("tasks",),
    "boxes": ("specs/001-chaos/tasks.md",),
    "rows": ("rows.csv", "--id", "id", "--instructions", "what.md"),
}


class Site:
    """In `folder`, with `items` items of each kind; `close` ends what it has started.

    `left_out` says what this machine has no rights or tools for.
    """

    def __init__(self, folder: Path, items: int, engine: str) -> None:
        self.folder, self.items, self.engine = folder, items, engine
        self.disk, self.project = folder / "disk", folder / "disk" / "project"
        self.log = str(folder / "log.jsonl")
        self.left_out: list[str] = []
        self.server: Server | None = None
        self.env = {
            **{name: value for name, value in os.environ.items()
               if not name.startswith(("CLAUDE", "HYPERVISOR_", "GEMINI", "PG"))},
            "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(folder / "home"),
        }  # fmt: skip
        if "HYPERVISOR_HOME" in os.environ:
            self.env["HYPERVISOR_HOME"] = os.environ["HYPERVISOR_HOME"]
        self.disk.mkdir()
        (folder / "home").mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "none", str(self.disk)]
        self.mounted = subprocess.run(mount, capture_output=True).returncode == 0
        if not self.mounted:
            self.left_out.append("a full disk (a tmpfs can't be mounted here)")
        self._make_clock()

    def close(self) -> None:
        """End the server and remove the disk; what a run left there is gone with it."""
        if self.server is not None:
            self.server.stop(signal.SIGQUIT)
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.disk)], check=True)

    def _make_clock(self) -> None:
        self.clock = self.folder / "clock"
        self.clock.write_text("0")
        library = self.folder / "clock.so"
        words = ["cc", "-shared", "-fPIC", "-o", str(library), str(HERE / "chaos_clock.c")]
        if shutil.which("cc") is None or subprocess.run(words).returncode:
            self.left_out.append("clock steps (no C compiler)")
            return
        self.env |= {"LD_PRELOAD": str(library), "CHAOS_CLOCK": str(self.clock)}

    def lay_out(self, lease: float) -> None:
        """The project with its two branches, the ledger, the queues."""
        self.project.mkdir()
        self.git("init", "--quiet", "-b", "main")
        self.git("config", "user.name", "chaos")
        self.git("config", "user.email", "c@example.org")
        for number in range(self.items):
            path = self.project / f"tasks/t{number:03}.md"
            path.parent.mkdir(exist_ok=True)
            path.write_text(task(f"t{number:03}"))
        numbers = range(1, self.items + 1)
        spec = self.project / SOURCES["boxes"][0]
        spec.parent.mkdir(parents=True)
        spec.write_text("# Tasks: Chaos\n\n## Phase 1: All\n\n" + "".join(
            f"- [ ] T{number:03} [P] Write box {number}\n" for number in numbers))  # fmt: skip
        rows = "".join(f"r{number:03},row {number}\n" for number in numbers)
        (self.project / "rows.csv").write_text(f"id,what\n{rows}")
        (self.project / "what.md").write_text("Write a file below work/.\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", "items")
        # On the other branch, every second task is not there, nor the boxes.
        self.git("switch", "--quiet", "-c", "side")
        self.git("rm", "--quiet", "tasks/t*[13579].md", SOURCES["boxes"][0])
        self.git("commit", "--quiet", "-m", "fewer")
        self.git("switch", "--quiet", "main")
        if self.engine == "postgres":
            self._start_server()
        self.terms = ("--lease", f"{lease}s", "--max-attempts", "9")
        for queue in SOURCES:
            done = self.open(queue)
            if done.returncode:
                raise SystemExit(f"open {queue}: {done.stdout}{done.stderr}")

    def _start_server(self) -> None:
        self.server = Server(self.folder / "pg")
        os.chmod(self.folder, 0o711)
        self.clock.chmod(0o644)
        self._boot(self.server)
        self.server.sql("create database work")
        self.env["HYPERVISOR_STORE"] = self.server.address("work")

    def restart(self) -> None:
        """Kill the server and start it again."""
        assert self.server is not None
        self.server.stop(signal.SIGKILL)
        for _ in range(60):
            try:
                self._boot(self.server)
                return
            except AssertionError:
                # One of its processes was born meanwhile, and has not seen yet that it is alone.
                time.sleep(0.5)
        self._boot(self.server)

    def _boot(self, server: Server) -> None:
        kept = dict(os.environ)
        # The server's own clock steps as well.
        os.environ.update({k: self.env[k] for k in ("LD_PRELOAD", "CHAOS_CLOCK") if k in self.env})
        try:
            server.start()
        finally:
            os.environ.clear()
            os.environ.update(kept)

    def git(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run git in the project as a person does."""
        done = subprocess.run(
            ["git", *words], cwd=self.project, capture_output=True, text=True, env=self.env
        )
        if check and done.returncode:
            raise SystemExit(f"git {' '.join(words)}: {done.stdout}{done.stderr}")
        return done

    def open(self, queue: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Open a queue on its source, with the terms of this run."""
        return self.hypervisor("open", queue, *SOURCES[queue], *self.terms, *words)

    def hypervisor(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project as a person does."""
        try:
            return subprocess.run(
                ["hypervisor", *words], cwd=self.project, env=self.env, timeout=120,
                stdin=subprocess.DEVNULL, capture_output=True, text=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(words, 124, "", "no end after 120 s")


def task(name: str) -> str:
    """Return the text of a task file as the chaos lays it out."""
    return f"---\nid: {name}\ntitle: Task {name}\nstatus: open\n---\n\nDo it.\n"
