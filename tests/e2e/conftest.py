"""Fixtures for runs of the real clients: `client`, `network`, `model`, `workspace`, `gemini` …"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e import clients, gemini_client
from e2e.clients import Client
from e2e.codex_model import CodexModel
from e2e.gemini_client import GeminiMachine
from e2e.gemini_model import GeminiModel
from e2e.model import Model
from e2e.network import Network
from e2e.pools import PoolMachine
from e2e.queue_scripts import REPOSITORY
from e2e.ways import BOTH, MANUAL, OFTEN, ON_A_SCREEN, WAYS, Sitting, Way
from e2e.workspace import Workspace

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that start real clients the time that a busy machine takes for it, and leave all
    to `--all` that are not marked `often`."""
    for item in items:
        if not item.path.is_relative_to(HERE):
            continue
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(480))
        if item.get_closest_marker("often") is None:
            item.add_marker(pytest.mark.thorough)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "e2e: runs a real client, offline")
    config.addinivalue_line("markers", "often: runs without `--all`, too")
    config.addinivalue_line("markers", "newest_client: runs on the newest Claude Code alone")
    config.addinivalue_line("markers", "oldest_too: takes `way`: in manual mode on the oldest, too")
    config.addinivalue_line("markers", "screen_too: takes `way`: often on a screen, too")
    config.addinivalue_line("markers", "every_way: takes `way`: each mode, on a screen and with -p")
    config.addinivalue_line("markers", "modes: takes `mode`: manual, with `--all` auto too")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests that take `client` on each Claude Code, or on those that their mark names, and
    those that take `way` on the newest, in manual and in auto mode, or in every way."""
    older, newest = clients.VERSIONS[:-1], clients.VERSIONS[-1]
    newest_alone = metafunc.definition.get_closest_marker("newest_client")
    if metafunc.definition.get_closest_marker("modes"):
        runs = [_run(*run, often=run == (newest, MANUAL)) for run in clients.MODES]
        metafunc.parametrize(("client", "mode"), runs, indirect=["client"], scope="session")
    elif "way" in metafunc.fixturenames and not newest_alone:
        often = [OFTEN]
        if metafunc.definition.get_closest_marker("screen_too"):
            often.append(ON_A_SCREEN)
        every_way = metafunc.definition.get_closest_marker("every_way")
        runs = [_run(newest, way, often=way in often) for way in (WAYS if every_way else BOTH)]
        if metafunc.definition.get_closest_marker("oldest_too"):
            runs += [_run(old, ON_A_SCREEN) for old in older]
        metafunc.parametrize(("client", "way"), runs, indirect=["client"], ids=str, scope="session")
    elif "client" in metafunc.fixturenames:
        runs = [_run(old) for old in older if not newest_alone] + [_run(newest, often=True)]
        metafunc.parametrize("client", runs, indirect=True, scope="session")


def _run(*values: object, often: bool = False) -> Any:
    """One run of a test; one that is not made `often` takes `--all`."""
    return pytest.param(*values, marks=() if often else pytest.mark.thorough)


@pytest.fixture(scope="session")
def client(request: pytest.FixtureRequest) -> Client:
    return clients.client(request.param)


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    network = Network()
    yield network
    network.close()


@pytest.fixture
def model(network: Network) -> Iterator[Model]:
    model = Model(network)
    yield model
    model.close()
    model.check()


@pytest.fixture
def workspace(
    tmp_path: Path, client: Client, model: Model, network: Network
) -> Iterator[Workspace]:
    workspace = Workspace(tmp_path / "machine", client, model, network)
    yield workspace
    workspace.close()


@pytest.fixture
def sitting(workspace: Workspace, model: Model, home: str, way: Way) -> Sitting:
    return Sitting(workspace, model, home, way)


@pytest.fixture(scope="session")
def gemini_program() -> Path:
    return gemini_client.program()


@pytest.fixture
def gemini_model(network: Network) -> Iterator[GeminiModel]:
    model = GeminiModel(network)
    yield model
    model.close()
    model.check()


@pytest.fixture
def gemini(
    tmp_path: Path, gemini_program: Path, gemini_model: GeminiModel, network: Network
) -> Iterator[GeminiMachine]:
    machine = GeminiMachine(tmp_path / "gemini", gemini_program, gemini_model, network)
    yield machine
    machine.close()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program's environment: HOME is empty in a workspace, and nothing can be installed.

    It is that of a user who has never set up the MCP server: each session starts the stand-in in
    its place, which costs nothing, where the server costs more than the rest of a short session.
    """
    _run_hypervisor("--version")
    full, folder = Path(os.environ["HYPERVISOR_HOME"]), tmp_path_factory.mktemp("home")
    key = (REPOSITORY / "requirements.txt").read_text().splitlines()[0].split()[-1]
    pointer = shutil.copy(full / f"{key}.env", folder)
    name = Path(pointer).read_text().splitlines()[0]
    (folder / name).symlink_to(full / name)
    return str(folder)


@pytest.fixture(scope="session")
def served_home() -> str:
    """The same, with what the MCP server needs: a session starts the real one."""
    _run_hypervisor("serve", "--setup")
    return os.environ["HYPERVISOR_HOME"]


def _run_hypervisor(*words: str) -> None:
    done = subprocess.run(
        [REPOSITORY / "bin/hypervisor", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def codex_program() -> Path:
    return clients.codex()


@pytest.fixture
def codex_model(network: Network) -> Iterator[CodexModel]:
    model = CodexModel(network)
    yield model
    model.close()
    model.check()


@pytest.fixture
def codex(machine: PoolMachine, codex_program: Path, codex_model: CodexModel) -> PoolMachine:
    machine.with_codex(codex_program, codex_model)
    return machine


@pytest.fixture
def claude(machine: PoolMachine, client: Client, model: Model) -> PoolMachine:
    machine.with_claude(client, model)
    return machine


@pytest.fixture
def machine(
    tmp_path: Path,
    network: Network,
    served_home: str,
    gemini_program: Path,
    gemini_model: GeminiModel,
) -> Iterator[PoolMachine]:
    root = tmp_path / "pools"
    machine = PoolMachine(root, network, served_home, gemini_program, gemini_model)
    yield machine
    machine.close()
