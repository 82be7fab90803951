"""The plugin in pytest runs of its own: in parallel, with failures, and without a binary."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from pytest_landfall import Binary, LandfallError
from pytest_landfall._binary import request

SWAP = """
    import pytest

    @pytest.mark.parametrize("number", range({jobs}))
    def test_swap(number, sm_dp, order, device):
        device.download(order)
        device.enable(order.iccid)
        new = sm_dp.order()
        device.download(new)
        device.enable(new.iccid)
        assert {{p.iccid: p.state for p in device.profiles()}} == {{order.iccid: "disabled", new.iccid: "enabled"}}
        sm_dp.end(new.iccid)
"""


def processes(folder: Path) -> list[str]:
    """Command lines of running processes that use this folder."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(folder) in line and "landfall" in line.split(" ")[0]:
            lines.append(line)
    return lines


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, and an SM-DP+ address of the user that no test may use."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("LANDFALL_SM_DP", "192.0.2.1:1")
    return folder


def test_fifty_swaps_run_in_parallel_and_leave_nothing(pytester: pytest.Pytester, home: Path) -> None:
    pytester.makepyfile(SWAP.format(jobs=50))
    result = pytester.runpytest_subprocess("-n", "8", "-p", "no:cacheprovider", f"--basetemp={pytester.path}/tmp")
    result.assert_outcomes(passed=50)
    assert processes(pytester.path) == []
    assert list(home.iterdir()) == []


def test_a_killed_run_leaves_no_server(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import os, signal

        def test_is_killed(landfall, fleet):
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    result = pytester.runpytest_subprocess(f"--basetemp={pytester.path}/tmp")
    assert result.ret == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while processes(pytester.path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes(pytester.path) == []


def test_a_profile_returns_to_the_stock_when_its_test_ends(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nlandfall_stock = 1\n")
    pytester.makepyfile("""
        import pytest

        seen = set()

        @pytest.mark.parametrize("job", range(3))
        def test_orders_the_same_profile(job, order):
            seen.add(order.iccid)
            assert len(seen) == 1
    """)
    pytester.runpytest_subprocess().assert_outcomes(passed=3)


def test_an_order_without_stock_gets_a_new_profile(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nlandfall_stock = 1\n")
    pytester.makepyfile("""
        def test_registers_with_a_new_profile(sm_dp, network, device):
            orders = [sm_dp.order() for _ in range(3)]
            assert len({order.iccid for order in orders}) == 3
            for order in orders:
                device.download(order)
                device.enable(order.iccid)
                assert device.register().plmn == network.plmn
    """)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_report_of_a_failure_has_the_log_of_its_own_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_passes(order, device):
            device.download(order)

        def test_fails(order):
            assert order.state == "Installed"
    """)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*Landfall servers*"])
    result.stdout.no_fnmatch_line("*GetBoundProfilePackage*")


def test_the_report_of_a_failed_fixture_has_the_log(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.fixture
        def installed(order, device):
            return device.download(order.activation_code + "X")

        def test_needs_a_profile(installed):
            pass
    """)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*Landfall servers*", "*AuthenticateClient*"])


def test_a_missing_binary_is_an_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_needs_servers(landfall): pass")
    result = pytester.runpytest_subprocess("--landfall-binary", "/nonexistent/landfall")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*there is no landfall binary at /nonexistent/landfall*"])


def test_a_server_that_ends_is_an_error_with_its_output(pytester: pytest.Pytester) -> None:
    binary = pytester.path / "landfall"
    binary.write_text("#!/bin/sh\necho 'cannot serve'\nexit 3\n")
    binary.chmod(0o755)
    pytester.makepyfile("def test_needs_servers(landfall): pass")
    result = pytester.runpytest_subprocess("--landfall-binary", str(binary))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ended with exit status 3*", "*cannot serve*"])


def script(pytester: pytest.Pytester, *lines: str) -> Binary:
    """A program in place of landfall."""
    file = pytester.path / "landfall"
    file.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    file.chmod(0o755)
    return Binary(file, timeout=0.5)


def test_a_command_that_does_not_end_is_an_error(pytester: pytest.Pytester) -> None:
    with pytest.raises(LandfallError, match="device list: it did not end within 0.5 s"):
        script(pytester, "exec sleep 60").call("device", "list")


def test_a_killed_command_is_an_error_with_its_remarks(pytester: pytest.Pytester) -> None:
    killed = script(pytester, "echo '{\"error\": {'", "echo '{not an event' >&2", "kill -9 $$")
    with pytest.raises(LandfallError, match="exit status -9\n{not an event") as error:
        killed.call("device", "list")
    assert error.value.error == {}


def test_a_server_that_is_not_ready_in_time_is_stopped(pytester: pytest.Pytester) -> None:
    log = pytester.path / "up.log"
    log.with_suffix(".ready.json").write_text("of an earlier start")
    with pytest.raises(LandfallError, match="not ready within 0.5 s\nstarting"):
        script(pytester, f"echo $$ >{pytester.path}/pid", "echo starting", "exec sleep 60").serve(log, "up")
    pid = (pytester.path / "pid").read_text().strip()
    assert not Path("/proc", pid).exists()


def test_an_unreachable_api_is_an_error() -> None:
    with pytest.raises(LandfallError, match="GET http://127.0.0.1:1/: .*refused"):
        request("GET", "http://127.0.0.1:1/")
