"""What a soak stands on: a network of hosts, one server, one remote, and a clone for each host."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hosts

from server import Server

BIN = Path(__file__).resolve().parents[1] / "bin"
QUEUE = "soak"
_WHO = ("-c", "user.name=soak", "-c", "user.email=s@example.org")


class Site:
    """In `folder`, with a host for each of `names`; `close` ends whatever it has started."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder, self.names = folder, names
        self.hosts = hosts.Hosts(names)
        self.running: dict[str, list[subprocess.Popen[Any]]] = {}
        self.server: Server | None = None

    def close(self) -> None:
        """End everything and remove the network."""
        for process in [one for many in self.running.values() for one in many]:
            process.kill()
            process.wait()
        if self.server is not None:
            self.server.stop(signal.SIGQUIT)
        self.hosts.close()

    def lay_out(self, items: int, lease: float) -> None:
        """The server, the remote, a clone for each host, and the queue."""
        self._start_server()
        origin, seed = self.folder / "git" / "origin.git", self.folder / "seed"
        self.command("git", "init", "--quiet", "--bare", "-b", "main", str(origin))
        self.command("git", "init", "--quiet", "-b", "main", str(seed))
        (seed / "hypervisor.toml").write_text(f'project = "{QUEUE}"\n')
        ids = [f"t{number:05}" for number in range(items)]
        (seed / "items.csv").write_text("".join(f"{line}\n" for line in ["id", *ids]))
        (seed / "what.md").write_text("Write the claim into the item's line.\n")
        (seed / "out").mkdir()
        for digit in "0123456789":
            lines = [f"{one}:\n-\n-\n" for one in ids if one.endswith(digit)]
            (seed / "out" / digit).write_text("".join(lines))
        self.command("git", "-C", str(seed), "add", "--all")
        self.command("git", "-C", str(seed), *_WHO, "commit", "--quiet", "-m", "items")
        self.command("git", "-C", str(seed), "push", "--quiet", str(origin), "main")
        self.running["switch"] = []
        self.serve()
        # Makes the environment with the driver, once, where packages can be reached.
        self.command("hypervisor", "--version", env=self.environment("switch"))
        for name in ("switch", *self.names):
            clone = self.clone(name)
            with self.hosts.within(name):
                self._retried("git", "clone", "--quiet", f"git://{hosts.SERVER}/origin.git", clone)
            for setting in (
                "hypervisor.remote=origin",
                "user.name=soak",
                "user.email=s@example.org",
            ):
                self.command("git", "-C", clone, "config", *setting.split("="))
        terms = ("--id", "id", "--lease", f"{lease}s", "--max-attempts", "9")
        self.hypervisor("open", QUEUE, "items.csv", "--instructions", "what.md", *terms)

    def serve(self) -> None:
        """Start the remote's daemon, unless it is there."""
        if self.running["switch"] and self.running["switch"][-1].poll() is None:
            return
        words = ("--reuseaddr", "--export-all", "--enable=receive-pack", "--timeout=60",
                 "--max-connections=0", f"--base-path={self.folder / 'git'}",
                 f"--listen={hosts.SERVER}")  # fmt: skip
        with self.hosts.within():
            daemon = subprocess.Popen(["git", "daemon", *words], stderr=subprocess.DEVNULL)
        self.running["switch"].append(daemon)

    def _start_server(self) -> None:
        lines = {
            "listen_addresses": f"'{hosts.SERVER}'", "ssl": "on", "fsync": "on",
            "ssl_cert_file": "'server.crt'", "ssl_key_file": "'server.key'",
        }  # fmt: skip
        access = ("hostssl all worker 10.77.0.0/24 scram-sha-256",)
        self.server = made = Server(self.folder / "pg", lines, access)
        certificate, key = made.data / "server.crt", made.data / "server.key"
        # A day old, or hosts whose clocks are slow would not take it yet.
        self.command(
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9",
            "-subj", "/CN=server", "-addext", f"subjectAltName=IP:{hosts.SERVER}",
            "-keyout", str(key), "-out", str(certificate),
            env=os.environ | hosts.clock("-1d"),
        )  # fmt: skip
        shutil.copy(certificate, self.folder / "ca.crt")
        for path in (certificate, key):
            path.chmod(0o600)
            shutil.chown(path, os.stat(made.data).st_uid, os.stat(made.data).st_gid)
        with self.hosts.within():
            made.start()
        made.sql("create role worker login password 'secret'", "create database work owner worker")

    def environment(self, name: str) -> dict[str, str]:
        assert self.server is not None
        home = self.folder / "homes" / name
        home.mkdir(parents=True, exist_ok=True)
        store = f"{self.server.tcp('work', hosts.SERVER, 'worker')}?sslmode=verify-full"
        kept = ("HYPERVISOR_HOME", "PIP_CONFIG_FILE", "UV_CONFIG_FILE", "PIP_CACHE_DIR")
        return {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(home),
            "PGPASSWORD": "secret",
            "HYPERVISOR_STORE": f"{store}&sslrootcert={self.folder / 'ca.crt'}",
            # Hosts can't reach packages, so one environment of the program is for all of them.
            "HYPERVISOR_HOME": str(Path.home() / ".cache/hypervisor"),
            **{key: os.environ[key] for key in kept if key in os.environ},
        }

    def clone(self, name: str) -> str:
        return str(self.folder / "clones" / name)

    def hypervisor(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command on the switch, in its clone."""
        with self.hosts.within():
            return self.command("hypervisor", *words, cwd=self.clone("switch"), check=check,
                             env=self.environment("switch"))  # fmt: skip

    def command(self, *words: str, check: bool = True, **options: Any) -> Any:
        if "env" in options:
            words = (shutil.which(words[0], path=options["env"]["PATH"]) or words[0], *words[1:])
        done = subprocess.run(words, capture_output=True, text=True, **options)
        if check and done.returncode:
            raise SystemExit(f"{' '.join(words)}: {done.stdout}{done.stderr}")
        return done

    def _retried(self, *words: str) -> None:
        for _ in range(20):
            if self.command(*words, check=False).returncode == 0:
                return
            time.sleep(0.2)
        self.command(*words)
