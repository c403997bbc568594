"""Parts that few need: who uses one gets an environment that has its library, nobody else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.store_files import NAMED, REFUSED, STORE
from launcher.plugins import EXTRAS, PYTHON, Plugin, commands, copy_plugin, real_uv

SHELLS = [
    command
    for command in (["sh"], ["dash"], ["bash", "--posix"], ["busybox", "sh"])
    if shutil.which(command[0])
]


@pytest.fixture(scope="module")
def full_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an environment for each set of extras."""
    folder = tmp_path_factory.mktemp("full")
    path = commands(folder / "commands", python3=PYTHON, uv=real_uv())
    plugin = Plugin(copy_plugin(folder / "plugin"), folder / "home", path)
    for words in ([], ["serve"]):
        for store in (None, STORE):
            assert plugin.run(plugin.launcher, *words, HYPERVISOR_STORE=store).told
    return plugin.home


@pytest.mark.parametrize(
    ("words", "store", "extras"),
    [
        (["next", "q"], None, []),
        (["serve"], None, ["iniconfig"]),
        (["serve", "--queue", "q"], None, ["iniconfig"]),
        (["serve", "--help"], None, []),
        (["next", "serve"], None, []),
        ([], "sqlite", []),
        (["next", "q"], STORE, ["execnet"]),
        (["next", "q"], STORE.replace("ql", ""), ["execnet"]),
        (["serve"], STORE, ["iniconfig", "execnet"]),
        (["move", "sqlite", STORE], None, ["execnet"]),
        (["move", STORE, "sqlite"], STORE, ["execnet"]),
        (["show", STORE], None, []),
    ],
)
def test_each_call_finds_the_libraries_that_it_uses_and_no_command_is_run(
    tmp_path: Path, full_home: Path, words: list[str], store: str | None, extras: list[str]
) -> None:
    plugin = Plugin(copy_plugin(tmp_path / "plugin"), full_home, commands(tmp_path / "none"))
    run = plugin.run(plugin.launcher, *words, HYPERVISOR_STORE=store)
    assert (run.told["extras"], run.told["argv"], run.err) == (extras, words, "")


@pytest.mark.parametrize(("text", "address"), [*NAMED, *((text, None) for text in REFUSED)])
@pytest.mark.thorough
def test_the_users_own_configuration_names_a_store_as_the_environment_does(
    tmp_path: Path, full_home: Path, text: str, address: str | None
) -> None:
    own = tmp_path / "config" / "hypervisor" / "config.toml"
    own.parent.mkdir(parents=True)
    own.write_text(text, encoding="utf-8", newline="")
    plugin = Plugin(copy_plugin(tmp_path / "plugin"), full_home, commands(tmp_path / "none"))
    plugin.env["XDG_CONFIG_HOME"] = str(own.parents[1])
    # By the program, then by the note that it leaves; what the shell names goes before both.
    for named in (None, None, "sqlite"):
        run = plugin.run(plugin.launcher, "next", HYPERVISOR_STORE=named)
        extras = ["execnet"] if address and named is None else []
        assert (run.told["extras"], run.told["argv"], run.err) == (extras, ["next"], "")


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_the_users_configuration_is_read_once_for_as_long_as_it_stays_as_it_is(
    tmp_path: Path, full_home: Path, shell: list[str]
) -> None:
    own = tmp_path / "config" / "hypervisor" / "config.toml"
    own.parent.mkdir(parents=True)
    own.write_text(f'  store = "{STORE}"')
    plugin = Plugin(copy_plugin(tmp_path / "plugin"), full_home, commands(tmp_path / "none"))
    plugin.env["XDG_CONFIG_HOME"] = str(own.parents[1])
    command = [str(shutil.which(shell[0])), *shell[1:], str(plugin.launcher), "next"]
    assert plugin.run(*command).told["extras"] == ["execnet"]
    note = full_home / "store.note"
    assert note.read_text() == f"{own}\npostgres\n"
    # The launcher goes by the note alone: the program would not find the store in this.
    text = own.read_text()
    own.write_text("")
    os.utime(own, (1, 1))
    assert plugin.run(*command).told["extras"] == ["execnet"]
    own.touch()
    assert plugin.run(*command).told["extras"] == []
    own.write_text(text)
    assert plugin.run(*command).told["extras"] == ["execnet"]
    other = plugin.run(*command, XDG_CONFIG_HOME=str(tmp_path / "other"))
    assert other.told["extras"] == []


@pytest.mark.parametrize("kind", ["device", "pipe", "large"])
def test_a_configuration_without_end_stops_no_start(
    tmp_path: Path, full_home: Path, kind: str
) -> None:
    own = tmp_path / "config" / "hypervisor" / "config.toml"
    own.parent.mkdir(parents=True)
    (full_home / "store.note").write_text(f"{own}\npostgres\n")
    if kind == "device":
        own.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(own)
    else:
        own.touch()
        os.truncate(own, 1 << 30)
    os.utime(full_home / "store.note", (1, 1))
    plugin = Plugin(copy_plugin(tmp_path / "plugin"), full_home, commands(tmp_path / "none"))
    assert plugin.run(XDG_CONFIG_HOME=str(own.parents[1])).told["extras"] == []


def test_a_set_of_extras_is_in_the_name_of_its_environment(full_home: Path) -> None:
    names = [entry.name for entry in full_home.iterdir() if entry.is_dir()]
    version, *_ = sorted(names)[0].partition("+")
    kinds = sorted(name[len(version) :].rpartition("-")[0] for name in names)
    assert kinds == ["", "+mcp", "+mcp+postgres", "+postgres"]


def test_whoever_uses_no_extra_installs_none(make_plugin: Callable[..., Plugin]) -> None:
    plugin = make_plugin(python3=PYTHON, uv=real_uv())
    assert plugin.run().told["extras"] == []
    assert len(plugin.environments()) == 1
    before = plugin.environments()
    assert plugin.run(plugin.launcher, "serve").told["extras"] == ["iniconfig"]
    assert len(plugin.environments()) == 2 and set(before) < set(plugin.environments())


def test_changed_pins_of_an_extra_make_its_environment_again_and_leave_the_others(
    tmp_path: Path, full_home: Path
) -> None:
    path = commands(tmp_path / "commands", python3=PYTHON, uv=real_uv())
    plugin = Plugin(copy_plugin(tmp_path / "plugin"), full_home, path)
    old = plugin.run(plugin.launcher, "serve").told["python"]
    pins = plugin.folder / "requirements-mcp.txt"
    pins.write_text(pins.read_text().replace("mcp-1", "mcp-2") + EXTRAS["postgres"])
    changed = plugin.run(plugin.launcher, "serve")
    assert changed.told["python"] != old and "setting up" in changed.err
    assert plugin.run().err == ""


def test_a_hook_of_a_session_makes_no_environment_for_its_store(
    tmp_path: Path, ready_home: Path
) -> None:
    path = commands(tmp_path / "commands", python3=PYTHON, uv=real_uv())
    plugin = Plugin(copy_plugin(tmp_path / "plugin"), ready_home, path)
    before = plugin.environments()
    run = plugin.run(plugin.launcher, "_hook", HYPERVISOR_SETUP="never", HYPERVISOR_STORE=STORE)
    assert (run.code, run.out, run.err) == (0, "", "")
    assert plugin.environments() == before
    # A command that somebody typed says so: nothing was done.
    run = plugin.run(plugin.launcher, "status", HYPERVISOR_SETUP="never", HYPERVISOR_STORE=STORE)
    assert (run.code, run.out) == (1, "") and "is not set up" in run.err
    assert plugin.environments() == before


@pytest.fixture(params=SHELLS, ids=" ".join)
def stand_in(request: pytest.FixtureRequest, ready_plugin: Plugin) -> Iterator[Any]:
    """The server of a session whose environment lacks the extra: a function from line to line."""
    shell = [shutil.which(request.param[0]), *request.param[1:]]
    commands(ready_plugin.path, sh="/bin/sh")
    process = subprocess.Popen(
        [*shell, ready_plugin.launcher, "serve"],
        env=ready_plugin.environment(HYPERVISOR_SETUP="never"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdin and process.stdout and process.stderr
    stdin, stdout = process.stdin, process.stdout

    def ask(line: str) -> Any:
        stdin.write(line + "\n")
        stdin.flush()
        return json.loads(stdout.readline())

    yield ask
    rest, err = process.communicate()
    assert (process.returncode, rest, err) == (0, "", "")


# As Claude Code, Gemini CLI and the SDK write them.
DISCOVER = '{"method":"server/discover","jsonrpc":"2.0","id":0}'
INITIALIZE = (
    '{"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{}},'
    '"clientInfo":{"name":"c \\"id\\":9 d","version":"2"}},"jsonrpc":"2.0","id":1}'
)
INITIALIZED = '{"jsonrpc":"2.0","method":"notifications/initialized"}\n'


def test_a_session_without_the_environment_gets_a_server_without_tools(stand_in: Any) -> None:
    assert stand_in(DISCOVER)["error"]["code"] == -32601
    welcome = stand_in(INITIALIZE)
    assert (welcome["jsonrpc"], welcome["id"]) == ("2.0", 1)
    assert welcome["result"]["protocolVersion"] == "2025-11-25"
    assert welcome["result"]["serverInfo"]["name"] == "task_manager"
    assert "hypervisor serve --setup" in welcome["result"]["instructions"]
    tools = stand_in(INITIALIZED + '{"jsonrpc": "2.0", "id": "a-2", "method": "tools/list"}')
    assert tools == {"jsonrpc": "2.0", "id": "a-2", "result": {"tools": []}}
    assert stand_in('{"jsonrpc":"2.0","id":3,"method":"ping"}')["result"] == {}
    called = '{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"get_task"}}'
    assert "hypervisor serve --setup" in stand_in(called)["error"]["message"]
