"""The container image of Landfall, for testcontainers (``pip install 'landfall[testcontainers]'``)."""

from __future__ import annotations

import io
import json
import socket
import tarfile
import time
import urllib.request
from typing import Any

from testcontainers.core.container import DockerContainer

from ._servers import Order

_NETWORK = 8480
_ADMIN = 8490
_CI_CERTIFICATE = "/data/pki/CertificateIssuer/CERT_CI_ECDSA_NIST.der"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class LandfallContainer(DockerContainer):
    """SM-DP+, SM-DS and networks in a container.

    Their ports are published on free ports of the loopback. ``start`` returns when the servers are
    ready. Further options are those of ``docker run`` in the Python library of Docker.
    """

    def __init__(self, image: str, *, timeout: float = 60, **options: Any) -> None:
        super().__init__(image, **options)
        self._timeout = timeout
        # An SM-DP+ and an SM-DS check the port at which a device called them, so both listen on the
        # port that is published.
        self._sm_dp, self._sm_ds = _free_port(), _free_port()
        self.with_env("LANDFALL_SM_DP", f"0.0.0.0:{self._sm_dp}")
        self.with_env("LANDFALL_SM_DS", f"0.0.0.0:{self._sm_ds}")
        # The admin API has no password, so no port is published beyond this machine. Docker chooses a
        # free port for None.
        same = {port: port for port in (self._sm_dp, self._sm_ds)}
        for port, published in {**same, _NETWORK: None, _ADMIN: None}.items():
            self.ports[f"{port}/tcp"] = ("127.0.0.1", published)  # type: ignore[assignment]
        self.with_command("up --no-card")

    def start(self) -> LandfallContainer:
        """Start the container, and wait until the servers are ready.

        Raises ``TimeoutError`` if they are not ready in time.
        """
        super().start()
        end = time.monotonic() + self._timeout
        while not self._is_ready():
            if time.monotonic() > end:
                _, errors = self.get_logs()
                self.stop()
                log = errors.decode(errors="replace")
                raise TimeoutError(f"the servers were not ready within {self._timeout} s: {log}")
            time.sleep(0.05)
        return self

    @property
    def sm_dp_address(self) -> str:
        """The address of the SM-DP+, ``HOST:PORT``."""
        return self._address(self._sm_dp)

    @property
    def sm_ds_address(self) -> str:
        """The address of the SM-DS, ``HOST:PORT``."""
        return self._address(self._sm_ds)

    @property
    def network_address(self) -> str:
        """The address of the networks, ``HOST:PORT``."""
        return self._address(_NETWORK)

    @property
    def admin_url(self) -> str:
        """The URL of the admin API."""
        return f"http://{self._address(_ADMIN)}"

    @property
    def ca_certificate(self) -> bytes:
        """The certificate of the CI (DER) that an LPA must trust."""
        parts, _ = self.get_wrapped_container().get_archive(_CI_CERTIFICATE)
        with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as archive:
            file = archive.extractfile(archive.getmembers()[0])
            assert file is not None, "the archive of a file has its content"
            return file.read()

    def order(self, **fields: Any) -> Order:
        """Order a profile. The fields are those of ``POST /admin/v1/orders``."""
        return Order._of(json.loads(self._request("/admin/v1/orders", fields)))

    def _address(self, port: int) -> str:
        # The certificates contain this name.
        return f"localhost:{self.get_exposed_port(port)}"

    def _request(self, path: str, body: dict[str, Any] | None = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.admin_url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=self._timeout) as response:
            content: bytes = response.read()
            return content

    def _is_ready(self) -> bool:
        try:
            self._request("/readyz")
        except OSError:  # HTTPError and URLError are OSErrors.
            return False
        return True
