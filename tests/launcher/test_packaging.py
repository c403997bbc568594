from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import hypervisor

from .plugins import PYTHON, REPO, real_uv


def test_the_key_of_the_environment_is_that_of_version_and_pins() -> None:
    first, rest = (REPO / "requirements.txt").read_bytes().split(b"\n", 1)
    key = f"{hypervisor.__version__}-{hashlib.sha256(rest).hexdigest()[:12]}"
    assert first.decode().rpartition(" ")[2] == key, f"let the first line end in {key}"


def extras() -> dict[str, Path]:
    table = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    return {name: REPO / f"requirements-{name}.txt" for name in table["optional-dependencies"]}


def test_the_key_of_each_extra_is_that_of_its_name_and_pins() -> None:
    assert "mcp" in extras()
    for name, path in extras().items():
        first, rest = path.read_bytes().split(b"\n", 1)
        key = f"{name}-{hashlib.sha256(rest).hexdigest()[:12]}"
        assert first.decode().rpartition(" ")[2] == key, f"let {path.name} begin with that key"


def test_no_two_files_pin_one_library_to_different_versions() -> None:
    pinned: dict[str, set[str]] = {}
    for path in REPO.glob("requirements*.txt"):
        for line in path.read_text().splitlines():
            name, _, version = line.partition(" ;")[0].partition("==")
            if version:
                pinned.setdefault(name.lower().replace("_", "-"), set()).add(version)
    assert [name for name, versions in pinned.items() if len(versions) > 1] == []


def test_the_tests_run_with_every_extra() -> None:
    script = (REPO / "tests" / "run").read_text()
    assert [path.name for path in extras().values() if path.name not in script] == []


def test_every_pin_is_exact() -> None:
    for path in REPO.glob("requirements*.txt"):
        for line in path.read_text().splitlines():
            if not line.startswith("#"):
                assert re.fullmatch(r"[A-Za-z0-9_-]+==[0-9.]+( ; [^;]+)?", line), (path.name, line)


def test_the_manifests_agree_with_the_program() -> None:
    folder = REPO / ".claude-plugin"
    manifest = json.loads((folder / "plugin.json").read_text())
    assert manifest["version"] == hypervisor.__version__
    assert (REPO / "plugin.json").is_symlink()
    assert os.path.samefile(REPO / "plugin.json", folder / "plugin.json")
    assert not (folder / "plugin.json").is_symlink()
    marketplace = json.loads((folder / "marketplace.json").read_text())
    assert [plugin["name"] for plugin in marketplace["plugins"]] == [manifest["name"]]


def test_nothing_but_the_launcher_is_put_on_the_path() -> None:
    assert [entry.name for entry in (REPO / "bin").iterdir()] == ["hypervisor"]
    assert os.access(REPO / "bin" / "hypervisor", os.X_OK)


def test_scripts_that_any_python_starts_are_of_an_old_grammar() -> None:
    for script in (REPO / "skills" / "hypervisor" / "scripts").glob("*.py"):
        ast.parse(script.read_text(encoding="utf-8"), script.name, feature_version=(3, 7))


def test_it_runs_installed_as_a_module_and_as_a_command(tmp_path: Path) -> None:
    env, source = tmp_path / "env", tmp_path / "source"
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*_cache")
    for name in ("src", "schemas"):
        shutil.copytree(REPO / name, source / name, symlinks=True, ignore=unwanted)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPO / name, source)
    for command in (
        ["venv", "--python", PYTHON, env],
        ["pip", "install", "--python", env / "bin" / "python", source],
    ):
        done = subprocess.run([real_uv(), *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    for command in ([env / "bin" / "python", "-m", "hypervisor"], [env / "bin" / "hypervisor"]):
        run = subprocess.run([*command, "--version"], capture_output=True, text=True)
        assert run.stdout == f"hypervisor {hypervisor.__version__}\n", run.stderr
    (installed,) = env.glob("lib/*/site-packages/hypervisor")
    schemas = {path.name: path.read_bytes() for path in (installed / "schemas").iterdir()}
    assert schemas == {path.name: path.read_bytes() for path in (REPO / "schemas").iterdir()}
    page = {path.name for path in (installed / "page").glob("page.*")}
    assert page == {"page.css", "page.html", "page.js"}


# `re` comes with json, which the hot path needs.
HEAVY = (
    "argparse dataclasses hashlib inspect pathlib secrets subprocess tempfile tomllib typing "
    "frontmatter jinja2 jsonschema rich yaml"
)


def test_the_hot_path_loads_cheap_modules_only() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(REPO / 'src')!r})\n"
        "import hypervisor.cli, hypervisor.config.roots, hypervisor.ledger, hypervisor.locks\n"
        f"print([name for name in {HEAVY.split()!r} if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout == "[]\n"
