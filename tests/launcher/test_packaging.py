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

import pytest

import hypervisor
from launcher.plugins import PYTHON, REPO, real_uv


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
            name, _, version = line.removesuffix(" \\").partition(" ;")[0].partition("==")
            if version:
                pinned.setdefault(name.lower().replace("_", "-"), set()).add(version)
    assert [name for name, versions in pinned.items() if len(versions) > 1] == []


def test_the_tests_run_with_every_extra() -> None:
    script = (REPO / "tests" / "run").read_text()
    assert [path.name for path in extras().values() if path.name not in script] == []


def test_every_pin_is_exact_and_has_the_hashes_of_its_files() -> None:
    pin = r"[A-Za-z0-9_-]+==[0-9.]+( ; [^;\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+\n"
    for path in REPO.glob("requirements*.txt"):
        text = path.read_text()
        assert re.fullmatch(rf"(#.*\n|{pin})+", text), f"run: python tools/pins.py ({path.name})"


def test_the_pins_are_as_the_tool_writes_them(tmp_path: Path) -> None:
    """The tool is run on a copy, with the index that this machine has: nothing is to be written."""
    for name in ("pyproject.toml", "src/hypervisor/__init__.py", "tools/pins.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPO / name, tmp_path / name)
    before = {}
    for path in REPO.glob("requirements*.txt"):
        shutil.copy(path, tmp_path)
        before[path.name] = path.read_text()
    # A hash that is lost or was added, and a key that is old, come right again.
    odd = tmp_path / "requirements.txt"
    lines = odd.read_text().splitlines(keepends=True)
    lines[0] = lines[0].replace("-", "-0")
    del lines[2]
    odd.write_text("".join(lines))
    tool = [sys.executable, tmp_path / "tools/pins.py"]
    env = os.environ | {"PATH": f"{Path(real_uv()).parent}:{os.environ['PATH']}"}
    done = subprocess.run(tool, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    for name, text in before.items():
        # A release may get wheels for new Pythons later on: what is pinned stays pinned.
        assert set(text.split()) <= set((tmp_path / name).read_text().split()), name
    again = subprocess.run(tool, capture_output=True, text=True, env=env)
    assert (again.returncode, again.stdout) == (0, ""), again.stderr


def test_no_command_and_no_page_installs_a_stranger_s_package() -> None:
    """`hypervisor` on the public index is another project."""
    named = re.compile(r"\b(?:pipx?|uvx?|uv tool)\b[^\n]*[ '\"`]hypervisor(?:[\['\"`\s]|$)")
    places = [REPO / name for name in ("README.md", "CONTRIBUTING.md")]
    for folder in ("src", "docs", "skills", "commands", "agents", "launcher", "bin", "gemini"):
        places += [path for path in (REPO / folder).rglob("*") if path.is_file()]
    texts = {path: path.read_bytes().decode("utf-8", "replace") for path in places}
    found = {
        str(path): named.findall(text) for path, text in texts.items() if path.suffix != ".pyc"
    }
    installs = re.compile(r"\binstall\b")
    assert {path: hits for path, hits in found.items() if any(map(installs.search, hits))} == {}


def test_the_manifests_agree_with_the_program() -> None:
    folder = REPO / ".claude-plugin"
    manifest = json.loads((folder / "plugin.json").read_text())
    assert manifest["version"] == hypervisor.__version__
    assert (REPO / "plugin.json").is_symlink()
    assert os.path.samefile(REPO / "plugin.json", folder / "plugin.json")
    assert not (folder / "plugin.json").is_symlink()
    marketplace = json.loads((folder / "marketplace.json").read_text())
    names = [plugin["name"] for plugin in marketplace["plugins"]]
    assert names == [manifest["name"], "hypervisor-tasks"]


def test_nothing_but_the_launcher_is_put_on_the_path() -> None:
    assert [entry.name for entry in (REPO / "bin").iterdir()] == ["hypervisor"]
    assert os.access(REPO / "bin" / "hypervisor", os.X_OK)


def test_scripts_that_any_python_starts_are_of_an_old_grammar() -> None:
    for script in (REPO / "skills" / "hypervisor" / "scripts").glob("*.py"):
        ast.parse(script.read_text(encoding="utf-8"), script.name, feature_version=(3, 7))


@pytest.mark.thorough
def test_it_runs_installed_as_a_module_and_as_a_command(tmp_path: Path) -> None:
    env, source = tmp_path / "env", tmp_path / "source"
    unwanted = shutil.ignore_patterns("__pycache__", ".*_cache")
    for name in ("src", "schemas", "prompts", "agents"):
        shutil.copytree(REPO / name, source / name, symlinks=True, ignore=unwanted)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPO / name, source)
    before = set(source.rglob("*"))
    for command in (
        ["venv", "--python", PYTHON, env],
        ["pip", "install", "--python", env / "bin" / "python", source],
    ):
        done = subprocess.run([real_uv(), *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert set(source.rglob("*")) == before
    for command in ([env / "bin" / "python", "-m", "hypervisor"], [env / "bin" / "hypervisor"]):
        run = subprocess.run([*command, "--version"], capture_output=True, text=True)
        assert run.stdout == f"hypervisor {hypervisor.__version__}\n", run.stderr
    (installed,) = env.glob("lib/*/site-packages/hypervisor")
    schemas = {path.name: path.read_bytes() for path in (installed / "schemas").iterdir()}
    assert schemas == {path.name: path.read_bytes() for path in (REPO / "schemas").iterdir()}
    prompts = {path.name: path.read_bytes() for path in (installed / "prompts").iterdir()}
    assert prompts == {path.name: path.read_bytes() for path in (REPO / "prompts").iterdir()}
    defaults = "config/defaults.toml"
    assert (installed / defaults).read_bytes() == (REPO / "src/hypervisor" / defaults).read_bytes()
    presets = {path.name: path.read_bytes() for path in (installed / "config/presets").iterdir()}
    shipped = (REPO / "src/hypervisor/config/presets").iterdir()
    assert presets == {path.name: path.read_bytes() for path in shipped}
    page = {path.name for path in (installed / "views" / "page").glob("page.*")}
    assert page == {"page.css", "page.html", "page.js"}
    # What an extra brings is not there; the command that is printed brings it.

    def mend_of_serve() -> str:
        missing = subprocess.run([env / "bin/hypervisor", "serve"], capture_output=True, text=True)
        assert missing.returncode == 1
        return missing.stderr.partition("hint: ")[2].strip()

    assert mend_of_serve() == f"uv pip install --python {env}/bin/python 'mcp<3,>=2.3'"
    pip = [real_uv(), "pip", "install", "--python", env / "bin/python", "pip"]
    assert subprocess.run(pip, capture_output=True).returncode == 0
    mend = mend_of_serve()
    assert mend == f"{env}/bin/python -m pip install 'mcp<3,>=2.3'"
    done = subprocess.run(["sh", "-c", mend], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ready = subprocess.run([env / "bin/hypervisor", "serve", "--setup"], capture_output=True)
    assert ready.returncode == 0


# `re` comes with json, which the hot path needs.
HEAVY = (
    "argparse dataclasses hashlib inspect pathlib secrets subprocess tempfile tomllib typing "
    "frontmatter jinja2 jsonschema rich yaml"
)


def test_the_hot_path_loads_cheap_modules_only() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(REPO / 'src')!r})\n"
        "import hypervisor.cli, hypervisor.config.roots, hypervisor.ledger\n"
        "import hypervisor.ledger.locks\n"
        f"print([name for name in {HEAVY.split()!r} if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout == "[]\n"
