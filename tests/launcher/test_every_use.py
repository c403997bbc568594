from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launcher.plugins import Plugin, commands, copy_plugin

SHELLS = [
    command
    for command in (["sh"], ["dash"], ["bash", "--posix"], ["bash"], ["busybox", "sh"])
    if shutil.which(command[0])
]


def test_no_command_is_run_on_the_way_to_python(ready_plugin: Plugin) -> None:
    assert list(ready_plugin.path.iterdir()) == []
    assert ready_plugin.run().told


def test_arguments_and_exit_code_pass_unchanged(ready_plugin: Plugin) -> None:
    odd = ["", "a b", "*", "$(touch x)", "-I", "--", "new\nline", "ü"]
    assert ready_plugin.run(ready_plugin.launcher, *odd).told["argv"] == odd
    assert ready_plugin.run(ready_plugin.launcher, "fail").code == 7


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_every_posix_shell_runs_it(ready_plugin: Plugin, shell: list[str]) -> None:
    shell = [shutil.which(shell[0]) or shell[0], *shell[1:]]
    told = ready_plugin.run(*shell, ready_plugin.launcher).told
    assert told["source"] == f"{ready_plugin.folder}/src/hypervisor/cli/__init__.py"


@pytest.mark.parametrize(
    "name", ["with spaces  in it", "$(touch x) `y` 'z' \"q\"", "Füße 日本", "-n"]
)
def test_the_plugin_may_stand_anywhere(ready_plugin: Plugin, tmp_path: Path, name: str) -> None:
    plugin = Plugin(copy_plugin(tmp_path / "o" / name), ready_plugin.home, ready_plugin.path)
    before = sorted(tmp_path.rglob("*"))
    run = plugin.run(LC_ALL="C")
    assert run.told["source"].startswith(f"{plugin.folder}/src/")
    assert [made for made in sorted(tmp_path.rglob("*")) if made not in before] == [
        plugin.folder / "src/hypervisor/__pycache__",
        *sorted((plugin.folder / "src/hypervisor/__pycache__").iterdir()),
        plugin.folder / "src/hypervisor/cli/__pycache__",
        *sorted((plugin.folder / "src/hypervisor/cli/__pycache__").iterdir()),
    ]


def start_relative(plugin: Plugin) -> tuple[Path, list[str]]:
    return plugin.folder.parent, ["plugin/bin/hypervisor"]


def start_dot(plugin: Plugin) -> tuple[Path, list[str]]:
    return plugin.folder / "bin", ["./hypervisor"]


def start_bare_by_shell(plugin: Plugin) -> tuple[Path, list[str]]:
    return plugin.folder / "bin", ["/bin/sh", "hypervisor"]


def start_dotdot(plugin: Plugin) -> tuple[Path, list[str]]:
    return plugin.folder / "src", ["../bin/hypervisor"]


def start_dotdot_behind_a_link(plugin: Plugin) -> tuple[Path, list[str]]:
    link = plugin.folder.parent / "link"
    link.symlink_to(plugin.folder / "src")
    return plugin.folder.parent, ["link/../bin/hypervisor"]


def start_links_in_a_row(plugin: Plugin) -> tuple[Path, list[str]]:
    away = plugin.folder.parent / "away"
    away.mkdir()
    (away / "first").symlink_to("../plugin/bin/hypervisor")
    (away / "second").symlink_to(away / "first")
    (away / "hv").symlink_to("second")
    return plugin.folder, ["../away/hv"]


def start_bin_linked(plugin: Plugin) -> tuple[Path, list[str]]:
    away = plugin.folder.parent / "away"
    away.mkdir()
    (away / "bin").symlink_to(plugin.folder / "bin")
    return plugin.folder, [str(away / "bin" / "hypervisor")]


def start_folder_linked(plugin: Plugin) -> tuple[Path, list[str]]:
    link = plugin.folder.parent / "link"
    link.symlink_to(plugin.folder)
    return plugin.folder.parent, ["link/bin/hypervisor"]


@pytest.mark.parametrize(
    "way",
    [
        start_relative,
        start_dot,
        start_bare_by_shell,
        start_dotdot,
        start_dotdot_behind_a_link,
        start_links_in_a_row,
        start_bin_linked,
        start_folder_linked,
    ],
    ids=lambda way: way.__name__,
)
def test_it_is_found_however_it_is_called(
    ready_plugin: Plugin, tmp_path: Path, way: Callable[[Plugin], tuple[Path, list[str]]]
) -> None:
    (tmp_path / "elsewhere" / "bin").mkdir(parents=True)
    commands(ready_plugin.path, readlink=shutil.which("readlink") or "")
    cwd, command = way(ready_plugin)
    told = ready_plugin.run(*command, "x", cwd=cwd, CDPATH=str(tmp_path / "elsewhere")).told
    source = ready_plugin.folder / "src" / "hypervisor" / "cli" / "__init__.py"
    assert os.path.samefile(told["source"], source)
    assert ".." not in told["source"]
    assert told["cwd"] == str(cwd)


def test_it_is_found_on_the_path(ready_plugin: Plugin) -> None:
    run = ready_plugin.run(
        "/usr/bin/env", "hypervisor", "x", PATH=f"{ready_plugin.folder}/bin:/nonexistent"
    )
    assert run.told["argv"] == ["x"]


def test_python_settings_and_modules_of_the_project_have_no_say(
    ready_plugin: Plugin, tmp_path: Path
) -> None:
    evil = tmp_path / "evil"
    evil.mkdir()
    for name in ("json", "os", "yaml", "sitecustomize", "usercustomize", "hypervisor"):
        (evil / f"{name}.py").write_text("raise SystemExit('taken over')")
    run = ready_plugin.run(
        cwd=evil,
        PYTHONPATH=str(evil),
        PYTHONHOME=str(evil),
        PYTHONSTARTUP=str(evil / "os.py"),
        PYTHONINSPECT="1",
        PYTHONWARNINGS="error",
    )
    assert run.told and run.err == ""


def test_it_works_without_a_network(ready_plugin: Plugin) -> None:
    cut_off = ["unshare", "-r", "-n"]
    if subprocess.run([*cut_off, "true"], capture_output=True).returncode:
        cut_off = ["env", "http_proxy=http://127.0.0.1:9", "https_proxy=http://127.0.0.1:9"]
    cut_off[0] = shutil.which(cut_off[0]) or cut_off[0]
    assert ready_plugin.run(*cut_off, ready_plugin.launcher).told


def test_bytecode_of_a_read_only_plugin_is_kept_in_the_environment(ready_plugin: Plugin) -> None:
    for folder in [ready_plugin.folder, *ready_plugin.folder.rglob("*")]:
        folder.chmod(folder.stat().st_mode & ~0o222)
    command: list[Any] = [ready_plugin.launcher]
    if os.geteuid() == 0:  # root writes everywhere unless it gives up the right to
        given_up = "-dac_override,-dac_read_search"
        setpriv = shutil.which("setpriv") or "setpriv"
        command = [setpriv, f"--bounding-set={given_up}", f"--inh-caps={given_up}", *command]
    told = ready_plugin.run(*command).told
    assert not list(ready_plugin.folder.rglob("__pycache__"))
    assert "/bytecode/" in told["cached"]
    assert Path(told["cached"]).exists()


def test_the_places_of_the_environment(ready_plugin: Plugin, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "hypervisor").symlink_to(ready_plugin.home)
    (tmp_path / ".cache").symlink_to(cache)
    for changes in (
        {"XDG_CACHE_HOME": str(cache), "HOME": None},
        {"HOME": str(tmp_path)},
        {"HOME": str(tmp_path), "XDG_CACHE_HOME": "relative"},
    ):
        assert ready_plugin.run(HYPERVISOR_HOME=None, **changes).told


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"HYPERVISOR_HOME": None, "HOME": None},
            "HOME is not set, so there is no place for hypervisor's environment\n"
            "hint: set HOME, or HYPERVISOR_HOME to a folder",
        ),
        (
            {"HYPERVISOR_HOME": "here"},
            "the folder of hypervisor's environment, here, is not an absolute path\n"
            "hint: set HYPERVISOR_HOME to one",
        ),
    ],
    ids=["no HOME", "relative"],
)
def test_no_place_for_the_environment_is_one_line(
    ready_plugin: Plugin, changes: dict[str, str | None], complaint: str
) -> None:
    run = ready_plugin.run(**changes)
    assert (run.code, run.err) == (1, f"error: {complaint}\n")
