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
        done = subprocess.run(
            command, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=self.timeout, check=False,
        )
        events, remarks = _events(done.stderr)
        if done.returncode != 0:
            called = " ".join(command[1:])
            raise LandfallError("\n".join([f"landfall {called}: exit status {done.returncode}", *remarks]))
        return (json.loads(done.stdout) if done.stdout.strip() else None), events

    def serve(self, log: Path, *arguments: str | Path) -> Process:
        """Starts a server that writes its output to the file ``log``."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._command(arguments), env=_environment(), stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT,
            )
        return Process(process, log, self.timeout)

    def _command(self, arguments: tuple[str | Path, ...]) -> list[str]:
        return [str(self.path), "--json", *map(str, arguments)]


class Process:
    """A running server."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, timeout: float) -> None:
        self._process = process
        self._timeout = timeout
        #: File of its output.
        self.log = log

    def wait_for(self, start: str) -> str:
        """Waits for a line that starts with ``start``. Returns the rest of the line."""
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline:
            ended = self._process.poll() is not None
            text = self.log.read_text(errors="replace")
            for line in text.splitlines(keepends=True):
                if line.startswith(start) and line.endswith("\n"):
                    return line[len(start) :].strip()
            if ended:
                raise LandfallError(f"landfall ended with exit status {self._process.returncode}\n{text}")
            time.sleep(0.02)
        self.stop()
        raise LandfallError(f"landfall did not print {start!r} within {self._timeout} s\n{text}")

    def stop(self) -> None:
        """Stops the server, and kills it if it does not end."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def request(method: str, url: str, body: object = None) -> Any:
    """Calls a JSON API. Returns the body of the response (None if it is empty)."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    # A proxy of the environment is never used: the servers are on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, data, headers, method=method), timeout=60) as response:
            text = response.read()
    except urllib.error.HTTPError as error:
        reason = error.read().decode(errors="replace")
        raise LandfallError(f"{method} {url}: status {error.code}: {reason}") from None
    return json.loads(text) if text else None


def _environment() -> dict[str, str]:
    """The environment without settings of the user's own Landfall, but with the log level."""
    return {
        name: value for name, value in os.environ.items() if name == "LANDFALL_LOG" or not name.startswith("LANDFALL_")
    }


def _events(text: str) -> tuple[list[Event], list[str]]:
    """Separates the events on standard error from other lines."""
    events, remarks = [], []
    for line in text.splitlines():
        if not line.startswith("{"):
            remarks.append(line)
            continue
        event = json.loads(line)
        fields = {name: event[name] for name in ("party", "peer", "interface", "function", "note")}
        events.append(Event(result=event["outcome"]["result"], **fields))
    return events, remarks
