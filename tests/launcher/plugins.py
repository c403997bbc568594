"""Copies of the plugin with a program that tells how it was started, and PATHs of few commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from repository import REPO

PYTHON = os.path.realpath(sys._base_executable)


def pin(name: str, file: str = "requirements-dev.txt") -> str:
    """The pin of a library as it stands, with its hashes, in a file."""
    text = (REPO / file).read_text()
    (found,) = re.findall(rf"^{name}==(?:.*\\\n)+.*\n", text, re.MULTILINE)
    return str(found)


# Small libraries in place of those that the extras are for; PROGRAM tells which of them it has.
EXTRAS = {"mcp": pin("iniconfig"), "postgres": pin("execnet")}

# Those of the program are more, and take three times as long to install.
LIBRARIES = "".join(pin(name, "requirements.txt") for name in ("PyYAML", "python-frontmatter"))

# Takes the place of the command line: starts again where libraries are missing, as that does,
# imports every library, and tells how it runs.
PROGRAM = """
import frontmatter, importlib.util, json, os, sys, yaml

QUICK = frozenset()

def main(argv):
    if os.environ.get("XDG_CONFIG_HOME"):
        from hypervisor.config.extras import complete
        complete(argv)
    print(json.dumps({
        "argv": argv, "cwd": os.getcwd(), "python": sys.executable, "source": __file__,
        "cached": __spec__.cached, "utf8": sys.flags.utf8_mode, "isolated": sys.flags.isolated,
        "libraries": [module.__file__ for module in (frontmatter, yaml)],
        "extras": [name for name in ("iniconfig", "execnet") if importlib.util.find_spec(name)],
    }))
    return 7 if argv == ["fail"] else 0
"""


@dataclass
class Plugin:
    """A copy of the plugin, and how to start it."""

    folder: Path
    home: Path
    path: Path
    env: dict[str, str | None] = field(default_factory=dict)

    @property
    def launcher(self) -> Path:
        return self.folder / "bin" / "hypervisor"

    def environment(self, **changes: str | None) -> dict[str, str]:
        merged: dict[str, str | None] = {
            **os.environ,
            "HYPERVISOR_HOME": str(self.home),
            "PATH": str(self.path),
            **self.env,
            **changes,
        }
        return {name: value for name, value in merged.items() if value is not None}

    def start(self, *command: str | Path, cwd: Path | None = None, **env: str | None) -> Any:
        return subprocess.Popen(
            command or [self.launcher],
            cwd=cwd or self.folder.parent,
            env=self.environment(**env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )

    def run(self, *command: str | Path, **options: Any) -> Run:
        process = self.start(*command, **options)
        out, err = process.communicate()
        return Run(process.returncode, out, err)

    def environments(self) -> list[str]:
        """The names of the environments in the home, half-made ones too."""
        if not self.home.is_dir():
            return []
        return sorted(entry.name for entry in self.home.iterdir() if entry.is_dir())


@dataclass
class Run:
    code: int
    out: str
    err: str

    @property
    def told(self) -> dict[str, Any]:
        assert self.code == 0, self
        told: dict[str, Any] = json.loads(self.out)
        return told


def copy_plugin(folder: Path) -> Path:
    """A copy in which PROGRAM stands for the command line, and LIBRARIES for those it needs."""
    for name in ("bin", "launcher"):
        shutil.copytree(REPO / name, folder / name)
    with open(REPO / "requirements.txt") as pins:
        (folder / "requirements.txt").write_text(pins.readline() + LIBRARIES)
    for extra, told in EXTRAS.items():
        text = f"# Some library. Environment key: {extra}-1\n{told}"
        (folder / f"requirements-{extra}.txt").write_text(text)
    package = folder / "src" / "hypervisor"
    (package / "cli").mkdir(parents=True)
    for name in ("__init__.py", "__main__.py"):
        shutil.copy(REPO / "src" / "hypervisor" / name, package)
    for name in ("config", "system"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPO / "src" / "hypervisor" / name, package / name, ignore=ignored)
    (package / "cli" / "__init__.py").write_text(PROGRAM)
    return folder


def commands(folder: Path, **targets: str) -> Path:
    """A folder for PATH with these commands: links to files, or scripts if they hold a newline."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in targets.items():
        command = folder / name
        command.unlink(missing_ok=True)
        if "\n" in target:
            command.write_text(target)
            command.chmod(0o755)
        else:
            command.symlink_to(target)
    return folder


def real_uv() -> str:
    """The uv that the test environment brings along."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    assert found, "no uv: run the tests with tests/run"
    return found
