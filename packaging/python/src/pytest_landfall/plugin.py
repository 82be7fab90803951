"""The pytest plugin: fixtures, options, and the servers' log in reports of failed tests."""

from __future__ import annotations

from typing import Any, Generator, Iterator

import pytest

from ._binary import Binary
from ._device import Device
from ._fleet import Fleet
from ._servers import Network, Order, Servers, SmDp

_SERVERS = pytest.StashKey[Servers]()
_LOG_START = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("landfall", "eSIM test system")
    group.addoption("--landfall-binary", metavar="FILE", help="landfall binary to run")
    parser.addini("landfall_binary", "landfall binary to run")
    parser.addini("landfall_stock", "number of profiles in stock", default="64")
    parser.addini("landfall_timeout", "seconds that a server or a command may take", default="60")


@pytest.fixture(scope="session")
def landfall(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """SM-DP+, SM-DS and networks on free ports, until the session ends."""
    chosen = pytestconfig.getoption("--landfall-binary") or pytestconfig.getini("landfall_binary")
    binary = Binary.locate(chosen or None, float(pytestconfig.getini("landfall_timeout")))
    servers = Servers.start(binary, tmp_path_factory.mktemp("landfall"), int(pytestconfig.getini("landfall_stock")))
    pytestconfig.stash[_SERVERS] = servers
    yield servers
    servers.process.stop()


@pytest.fixture(scope="session")
def sm_dp(landfall: Servers) -> SmDp:
    """The SM-DP+."""
    return landfall.sm_dp


@pytest.fixture(scope="session")
def network(landfall: Servers) -> Network:
    """The mobile networks."""
    return landfall.network


@pytest.fixture
def order(sm_dp: SmDp) -> Iterator[Order]:
    """A released order of a fresh profile. The profile returns to the stock when the test ends."""
    placed = sm_dp.order()
    yield placed
    sm_dp.end(placed.iccid)


@pytest.fixture
def device(landfall: Servers, tmp_path_factory: pytest.TempPathFactory) -> Device:
    """A device with an empty eUICC of its own."""
    return Device.create(landfall, tmp_path_factory.mktemp("device"))


@pytest.fixture
def fleet(landfall: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A platform without devices, which orders profiles at the SM-DP+."""
    platform = Fleet.start(landfall, tmp_path_factory.mktemp("fleet"))
    yield platform
    platform.process.stop()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    servers = item.config.stash.get(_SERVERS, None)
    item.stash[_LOG_START] = servers.process.log.stat().st_size if servers else 0
    yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    report = (yield).get_result()
    servers = item.config.stash.get(_SERVERS, None)
    if report.failed and servers:
        text = servers.process.log.read_bytes()[item.stash.get(_LOG_START, 0) :].decode(errors="replace")
        if text:
            report.sections.append(("Landfall servers", text))
