"""The platform of a fleet's owner: ``landfall fleet serve``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._binary import Process, request, request_all
from ._servers import Servers


@dataclass(frozen=True)
class Fleet:
    """A platform with its records."""

    servers: Servers
    process: Process
    data_dir: Path
    #: ``HOST:PORT`` for the check-ins of devices (TLS).
    address: str
    #: Base URL of the owner's API.
    api: str

    @classmethod
    def start(cls, servers: Servers, data_dir: Path) -> Fleet:
        """Starts a platform without devices on free ports."""
        data_dir.mkdir(parents=True, exist_ok=True)
        process = servers.binary.serve(
            data_dir / "fleet.log", "--data-dir", str(data_dir), "fleet", "serve",
            "--listen", "127.0.0.1:0", "--listen-api", "127.0.0.1:0",
            "--pki", str(servers.data_dir / "pki"), "--sm-dp", servers.sm_dp.address,
        )  # fmt: skip
        return cls(servers, process, data_dir, process.addresses["platform"], f"http://{process.addresses['api']}")

    def import_devices(self, csv: str) -> Any:
        """Imports devices from CSV text (docs/fleet.md)."""
        file = self.data_dir / "devices.csv"
        file.write_text(csv)
        return self.run("import", str(file))

    def devices(self) -> list[dict[str, Any]]:
        """Lists the devices."""
        return request_all(self.api, "/v1/devices")

    def token(self, eid: str) -> str:
        """Returns the token with which a device checks in."""
        return str(self.run("token", eid)["token"])

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Calls the owner's API (docs/fleet-api.json)."""
        return request(method, self.api + path, body)

    def run(self, *arguments: str) -> Any:
        """Runs ``landfall fleet`` with these arguments on the same records. Returns its JSON result."""
        return self.servers.binary.call("--data-dir", str(self.data_dir), "fleet", *arguments)[0]
