from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

import pytest

from launcher.plugins import EXTRAS, PYTHON, REPO, Plugin, commands, real_uv

# A uv that takes its time, one whose set-up dies meanwhile, and one that fails half-way.
SLOW_UV = f'#!/bin/sh\n[ "$1" != pip ] || /bin/sleep 2\nexec "{real_uv()}" "$@"\n'
KILLING_UV = (
    f'#!/bin/sh\n[ "$1" != pip ] || kill -9 VICTIM; /bin/sleep 2\nexec "{real_uv()}" "$@"\n'
)
FAILING_UV = f'#!/bin/sh\n[ "$1" != pip ] || exit 2\nexec "{real_uv()}" "$@"\n'
UNREACHABLE = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_EXTRA_INDEX_URL": None,
    "PIP_FIND_LINKS": None,
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_RETRIES": "0",
    "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
    "UV_HTTP_RETRIES": "0",
    "UV_NO_CACHE": "1",
}


def normal(name: str) -> str:
    return name.lower().replace("_", "-")


def test_a_shell_that_completes_a_line_makes_none(make_plugin: Callable[..., Plugin]) -> None:
    plugin = make_plugin(python3=PYTHON, uv=real_uv())
    asked = plugin.run(plugin.launcher, _ARGCOMPLETE="1")
    assert (asked.code, asked.out, asked.err) == (0, "", "")
    assert plugin.environments() == []


def test_with_uv_it_is_made_once_said_in_one_line_and_holds_the_pins(
    make_plugin: Callable[..., Plugin], tmp_path: Path
) -> None:
    plugin = make_plugin(python3=PYTHON, uv=real_uv())
    shutil.copy(REPO / "requirements.txt", plugin.folder)
    project = tmp_path / "project"
    project.mkdir()

    first = plugin.run(plugin.launcher, "a b", "", "ü", cwd=project)
    assert first.told["argv"] == ["a b", "", "ü"]
    (name,) = plugin.environments()
    env = plugin.home / name
    assert first.err == f"hypervisor: setting up its environment in {env} (once)\n"
    assert first.told["python"] == f"{env}/bin/python"
    assert first.told["isolated"] == first.told["utf8"] == 1
    assert all(library.startswith(f"{env}/lib/") for library in first.told["libraries"])

    second = plugin.run(plugin.launcher, cwd=project)
    assert second.told and second.err == ""
    assert list(project.iterdir()) == []

    installed = {
        normal(found.name): found.version
        for found in distributions(path=[str(next((env / "lib").glob("*/site-packages")))])
    }
    lines = (REPO / "requirements.txt").read_text().splitlines()
    pins = dict(line.split(";")[0].strip(" \\").split("==") for line in lines if "==" in line)
    pins = {normal(pin): version for pin, version in pins.items()}
    assert installed.items() <= pins.items()
    assert set(pins) - set(installed) <= {"typing-extensions"}  # newer Pythons need it not


@pytest.mark.thorough
def test_what_uv_cannot_do_venv_and_pip_do(make_plugin: Callable[..., Plugin]) -> None:
    plugin = make_plugin(python3=PYTHON, uv=FAILING_UV)
    run = plugin.run()
    assert run.told and run.err.count("\n") == 1
    assert plugin.run().err == ""


def test_eight_first_uses_at_once_make_one_environment(
    make_plugin: Callable[..., Plugin],
) -> None:
    plugin = make_plugin(python3=PYTHON, uv=real_uv())
    processes = [plugin.start() for _ in range(8)]
    ends = [(*process.communicate(), process.returncode) for process in processes]
    assert [code for _, _, code in ends] == [0] * 8, ends
    said = "".join(err for _, err, _ in ends)
    assert said.count("setting up its environment") == 1
    assert len(plugin.environments()) == 1


@pytest.mark.parametrize("victim", ["0", "$PPID"], ids=["all of its processes", "all but uv"])
@pytest.mark.thorough
def test_a_killed_set_up_is_made_again(make_plugin: Callable[..., Plugin], victim: str) -> None:
    uv = KILLING_UV.replace("VICTIM", victim)
    plugin = make_plugin(python3=PYTHON, uv=uv)
    assert plugin.run().code != 0
    assert plugin.environments() and not list(plugin.home.glob("*/.complete"))

    commands(plugin.path, uv=real_uv())
    run = plugin.run()
    assert run.told and "setting up its environment" in run.err
    assert plugin.run().err == ""


def test_an_interrupted_set_up_leaves_nothing(make_plugin: Callable[..., Plugin]) -> None:
    plugin = make_plugin(python3=PYTHON, uv=SLOW_UV)
    process = plugin.start()
    while not list(plugin.home.glob("*/bin/python")):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate()
    assert process.returncode != 0
    assert plugin.environments() == []


@pytest.mark.parametrize(
    "uv", [True, pytest.param(False, marks=pytest.mark.thorough)], ids=["uv", "pip"]
)
def test_an_unreachable_index_is_told_in_one_line_and_nothing_is_half_made(
    make_plugin: Callable[..., Plugin], uv: bool
) -> None:
    plugin = make_plugin(python3=PYTHON, **({"uv": real_uv()} if uv else {}))
    plugin.env = dict(UNREACHABLE)
    run = plugin.run()
    assert (run.code, run.out) == (1, "")
    setting_up, complaint, hint = run.err.splitlines()
    assert "setting up" in setting_up
    (log,) = plugin.home.glob("*.log")
    assert complaint.startswith("error: ") and complaint.endswith(f"the whole output is in {log}")
    assert hint.startswith("hint: run the command again")
    assert ("uv pip install" in log.read_text()) is uv
    assert "-m pip install" in log.read_text()
    assert plugin.environments() == []
    assert not list(plugin.home.glob("*.env"))


def test_a_python_without_ensurepip_is_answered_with_the_package_to_install(
    make_plugin: Callable[..., Plugin], tmp_path: Path
) -> None:
    python = python_without_ensurepip(tmp_path / "python")
    plugin = make_plugin(python3=str(python))
    run = plugin.run()
    assert run.code == 1
    assert run.err == (
        f"error: {python} lacks ensurepip, so it cannot make an environment\n"
        "hint: apt install python3-venv (Debian, Ubuntu), or install uv\n"
    )
    assert not plugin.home.exists()


def test_uv_needs_no_ensurepip(make_plugin: Callable[..., Plugin], tmp_path: Path) -> None:
    python = python_without_ensurepip(tmp_path / "python")
    assert make_plugin(python3=str(python), uv=real_uv()).run().told


@pytest.mark.thorough
def test_a_complete_python_is_preferred_to_a_newer_one_without_ensurepip(
    make_plugin: Callable[..., Plugin], tmp_path: Path
) -> None:
    lacking = python_without_ensurepip(tmp_path / "python")
    plugin = make_plugin(**{"python3.14": str(lacking), "python3": PYTHON})
    plugin.env = dict(UNREACHABLE)
    assert "could not be installed" in plugin.run().err


def python_without_ensurepip(folder: Path) -> Path:
    """A copy of the interpreter whose library lacks ensurepip, as Debian divides it."""
    base = Path(PYTHON)
    library = Path(os.__file__).parent
    (folder / "bin").mkdir(parents=True)
    (folder / "lib" / library.name).mkdir(parents=True)
    python = folder / "bin" / base.name
    python.write_bytes(base.read_bytes())
    python.chmod(0o755)
    for entry in library.iterdir():
        if entry.name not in ("ensurepip", "site-packages"):
            (folder / "lib" / library.name / entry.name).symlink_to(entry)
    for entry in library.parent.glob("libpython*"):
        (folder / "lib" / entry.name).symlink_to(entry)
    return python


@pytest.mark.parametrize(
    "targets",
    [
        {},
        {"python3": "#!/bin/sh\nexit 3\n"},
        {"python3.13": "#!/bin/sh\necho 'pyenv: python3.13: command not found' >&2\nexit 127\n"},
    ],
    ids=["none", "too old", "a shim without a version"],
)
def test_no_suitable_python_is_one_line(
    make_plugin: Callable[..., Plugin], targets: dict[str, str]
) -> None:
    run = make_plugin(**targets).run()
    assert run.code == 1
    assert run.err == (
        "error: no Python 3.11 or later on PATH\n"
        "hint: install Python 3.11 or later, or name one in HYPERVISOR_PYTHON\n"
    )


def test_the_interpreter_recorded_is_the_real_one_and_no_shim(
    make_plugin: Callable[..., Plugin], tmp_path: Path
) -> None:
    shim = f'#!/bin/sh\necho x >>"{tmp_path}/calls"\nexec "{PYTHON}" "$@"\n'
    plugin = make_plugin(python3=shim, uv=real_uv())
    python = Path(plugin.run().told["python"])
    assert os.path.realpath(python) == PYTHON
    calls = (tmp_path / "calls").read_text()
    assert plugin.run().told
    assert (tmp_path / "calls").read_text() == calls


def test_the_python_that_was_asked_for_is_taken(make_plugin: Callable[..., Plugin]) -> None:
    plugin = make_plugin(uv=real_uv())
    assert plugin.run(HYPERVISOR_PYTHON=PYTHON).told
    assert plugin.run(HYPERVISOR_PYTHON=PYTHON).err == ""

    wrong = plugin.run(HYPERVISOR_PYTHON="/nonexistent/python")
    assert wrong.code == 1
    assert wrong.err == (
        "error: HYPERVISOR_PYTHON=/nonexistent/python is not a Python 3.11 or later that "
        "runs\nhint: name one, or unset it\n"
    )


def test_changed_pins_get_an_environment_of_their_own(make_plugin: Callable[..., Plugin]) -> None:
    plugin = make_plugin(python3=PYTHON, uv=real_uv())
    old = plugin.run().told["python"]
    pins = plugin.folder / "requirements.txt"
    first, rest = pins.read_text().split("\n", 1)
    pins.write_text(f"{first[:-1]}x\n{rest}{EXTRAS['mcp']}")
    changed = plugin.run()
    assert changed.told["python"] != old
    assert "setting up" in changed.err
    assert len(plugin.environments()) == 2


@pytest.mark.thorough
@pytest.mark.parametrize("lost", ["bin/python", ".complete"])
def test_a_damaged_environment_is_made_again(make_plugin: Callable[..., Plugin], lost: str) -> None:
    plugin = make_plugin(python3=PYTHON, uv=real_uv())
    assert plugin.run().told
    (name,) = plugin.environments()
    (plugin.home / name / lost).unlink()
    again = plugin.run()
    assert again.told and "setting up" in again.err


def test_a_home_that_cannot_be_written_is_answered_with_the_mend(
    make_plugin: Callable[..., Plugin], tmp_path: Path
) -> None:
    plugin = make_plugin(python3=PYTHON)
    (tmp_path / "a file").touch()
    plugin.home = tmp_path / "a file" / "hypervisor"
    run = plugin.run()
    assert run.code == 1
    assert run.err == (
        f"error: cannot write to {plugin.home} (Not a directory)\n"
        "hint: set HYPERVISOR_HOME to a folder of yours\n"
    )


@pytest.mark.parametrize("uv", [True, False], ids=["uv", "pip"])
@pytest.mark.parametrize("spoilt", ["another file", "a source package", "no hash"])
@pytest.mark.thorough
def test_what_is_not_the_pinned_wheel_is_not_installed(
    make_plugin: Callable[..., Plugin], uv: bool, spoilt: str
) -> None:
    plugin = make_plugin(python3=PYTHON, **({"uv": real_uv()} if uv else {}))
    pins = Path(shutil.copy(REPO / "requirements.txt", plugin.folder))
    text = pins.read_text()
    block = re.search(r"mdurl==\S+ \\\n(?:.*\\\n)*.*\n", text)
    assert block is not None
    wheel, source = sorted(re.findall(r"--hash=\S+", block[0]), key=is_wheel, reverse=True)
    kept = {"another file": f"{wheel[:-4]}0000", "a source package": source, "no hash": ""}
    pins.write_text(text.replace(block[0], f"mdurl==0.1.2 {kept[spoilt]}\n"))
    for name in ("PIP_NO_BINARY", "UV_NO_BINARY", "UV_NO_VERIFY_HASHES"):
        plugin.env[name] = ":all:" if name.startswith("PIP") else "1"
    run = plugin.run()
    assert (run.code, run.out) == (1, ""), run
    assert plugin.environments() == []


def is_wheel(told: str) -> bool:
    """True if a hash is that of mdurl's wheel, which any Python takes."""
    with tempfile.TemporaryDirectory() as folder:
        fetch = [PYTHON, "-m", "pip", "download", "--no-deps", "-q", "-d", folder, "mdurl==0.1.2"]
        subprocess.run(fetch, check=True, capture_output=True)
        (file,) = Path(folder).iterdir()
        return told.endswith(hashlib.sha256(file.read_bytes()).hexdigest())
