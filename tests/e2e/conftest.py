"""Fixtures for runs of the real client: `client`, `network`, `model`, `workspace`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import clients
from .clients import Client
from .model import Model
from .network import Network
from .workspace import Workspace


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "e2e: runs the real Claude Code client, offline")


@pytest.fixture(scope="session", params=clients.VERSIONS)
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


@pytest.fixture(scope="session")
def home() -> str:
    """The program's environment: HOME is empty in a workspace, and nothing can be installed."""
    return os.environ["HYPERVISOR_HOME"]
