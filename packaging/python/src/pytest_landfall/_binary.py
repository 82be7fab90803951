"""The ``landfall`` binary: single commands, and processes that serve until they are stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class LandfallError(Exception):
    """A command failed, a server did not start, or an API refused a request."""

    #: The error of a failed command (docs/json.md): ``kind``, ``what``, ``why``, ``next`` and perhaps ``status``.
    error: dict[str, Any]

    def __init__(self, text: str, error: dict[str, Any] | None = None) -> None:
        super().__init__(text)
        self.error = error or {}


@dataclass(frozen=True)
class Event:
    """A function that a party has executed, from the timeline of a command."""

    party: str
    peer: str
    interface: str
    function: str
    result: str
    note: str


@dataclass(frozen=True)
class Binary:
    """A ``landfall`` binary, and the longest time that a command or the start of a server may take."""

    path: Path
    timeout: float = 60

    @classmethod
    def locate(cls, path: str | None, timeout: float) -> Binary:
        """Returns the binary at ``path``, else that of this Python environment, else that in the PATH."""
        installed = Path(sysconfig.get_path("scripts"), "landfall")
        found = path or (str(installed) if installed.exists() else shutil.which("landfall"))
        if not found or not Path(found).exists():
            raise LandfallError(f"there is no landfall binary at {found or installed} or in the PATH")
        return cls(Path(found).resolve(), timeout)

    def call(self, *arguments: str | Path) -> tuple[Any, list[Event]]:
        """Runs a command. Returns its JSON result (None if it prints nothing) and its events."""
        command = self._command(arguments)
        called = " ".join(command[1:])
        try:
            done = subprocess.run(
                command, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=self.timeout, check=False,
            )
        except subprocess.TimeoutExpired:
            raise LandfallError(f"landfall {called}: it did not end within {self.timeout} s") from None
        events, remarks = _events(done.stderr)
        if done.returncode != 0:
            # A process that was killed can have printed a part of the document.
            error = _object(done.stdout).get("error", {})
            text = [f"{name}: {error[name]}" for name in ("what", "why", "next") if name in error]
            raise LandfallError(
                "\n".join([f"landfall {called}: exit status {done.returncode}", *text, *remarks]), error
            )
        return (json.loads(done.stdout) if done.stdout.strip() else None), events

    def serve(self, log: Path, *arguments: str | Path) -> Process:
        """Starts a server that writes its output to the file ``log``, and waits until it accepts connections.

        The server ends with this process, because the pipe to its standard input is then closed.
        """
        ready = log.with_suffix(".ready.json")
        ready.unlink(missing_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._command((*arguments, "--ready-file", ready, "--until-stdin-closes")), env=_environment(),
                stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
            )
        return Process._started(process, log, ready, self.timeout)

    def _command(self, arguments: tuple[str | Path, ...]) -> list[str]:
        return [str(self.path), "--json", *map(str, arguments)]


class Process:
    """A running server."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, timeout: float) -> None:
        self._process = process
        self._timeout = timeout
        #: File of its output.
        self.log = log
        #: Address of each interface, ``HOST:PORT``.
        self.addresses: dict[str, str] = {}
        #: Root certificate of the servers (DER).
        self.root_certificate = Path()

    @classmethod
    def _started(cls, process: subprocess.Popen[bytes], log: Path, ready: Path, timeout: float) -> Process:
        """Waits for the file in which the server announces that it is ready. Stops a server that is not."""
        started = cls(process, log, timeout)
        try:
            started._wait(ready)
        except BaseException:
            started.stop()
            raise
        return started

    def _wait(self, ready: Path) -> None:
        deadline = time.monotonic() + self._timeout
        while not ready.exists():
            if self._process.poll() is not None:
                raise LandfallError(f"landfall ended with exit status {self._process.returncode}\n{self._output()}")
            if time.monotonic() > deadline:
                raise LandfallError(f"landfall was not ready within {self._timeout} s\n{self._output()}")
            time.sleep(0.02)
        readiness = json.loads(ready.read_text())
        self.addresses = readiness["addresses"]
        self.root_certificate = Path(readiness.get("root_certificate", ""))

    def _output(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self) -> None:
        """Stops the server, and kills it if it does not end."""
        self._process.send_signal(signal.SIGTERM)
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def request(method: str, url: str, body: object = None) -> Any:
    """Calls a JSON API. Returns the body of the response (None if it is empty)."""
    return _exchange(method, url, body)[0]


def request_all(address: str, path: str) -> list[dict[str, Any]]:
    """Reads all pages of a list of a JSON API."""
    elements: list[dict[str, Any]] = []
    following: str | None = path
    while following:
        page, following = _exchange("GET", address + following)
        elements += page
    return elements


def _exchange(method: str, url: str, body: object = None) -> tuple[Any, str | None]:
    """Returns the body of the response, and the path of the next page of a list."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    # A proxy of the environment is never used: the servers are on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, data, headers, method=method), timeout=60) as response:
            text, link = response.read(), response.headers.get("Link", "")
    except urllib.error.HTTPError as error:
        reason = error.read().decode(errors="replace")
        raise LandfallError(f"{method} {url}: status {error.code}: {reason}") from None
    except urllib.error.URLError as error:
        raise LandfallError(f"{method} {url}: {error.reason}") from None
    following = link.partition(">")[0].removeprefix("<") if link.endswith('rel="next"') else None
    return (json.loads(text) if text else None), following


def _environment() -> dict[str, str]:
    """The environment without settings of the user's own Landfall, but with the log level."""
    return {
        name: value for name, value in os.environ.items() if name == "LANDFALL_LOG" or not name.startswith("LANDFALL_")
    }


def _events(text: str) -> tuple[list[Event], list[str]]:
    """Separates the events on standard error from other lines."""
    events, remarks = [], []
    for line in text.splitlines():
        event = _object(line)
        if "outcome" not in event:
            remarks.append(line)
            continue
        fields = {name: event[name] for name in ("party", "peer", "interface", "function", "note")}
        events.append(Event(result=event["outcome"]["result"], **fields))
    return events, remarks


def _object(text: str) -> dict[str, Any]:
    """The JSON object in a text; an empty one if it contains none."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
