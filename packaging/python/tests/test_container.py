"""The container image, with a container engine that has the interface of Docker.

``LANDFALL_IMAGE`` is the image. ``DOCKER_HOST`` names the engine, such as that of ``podman system service``.
"""

from __future__ import annotations

import os
import resource
import socket
import ssl

import pytest

IMAGE = os.environ.get("LANDFALL_IMAGE")


@pytest.mark.skipif(IMAGE is None, reason="LANDFALL_IMAGE is not set")
def test_the_servers_in_a_container_can_be_reached_from_outside() -> None:
    docker = pytest.importorskip("docker")
    pytest.importorskip("testcontainers")
    from pytest_landfall.container import LandfallContainer

    assert IMAGE is not None
    # Not every user can raise the limits of processes.
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limits = [
        docker.types.Ulimit(name="nofile", soft=1024, hard=files),
        docker.types.Ulimit(name="nproc", soft=4096, hard=4096),
    ]
    with LandfallContainer(IMAGE, ulimits=limits) as servers:
        orders = [servers.order() for _ in range(2)]
        assert len({order.iccid for order in orders}) == 2
        for order in orders:
            assert order.activation_code == f"LPA:1${servers.sm_dp_address}${order.matching_id}"
        trusted = ssl.create_default_context(cadata=servers.ca_certificate)
        host, port = servers.sm_dp_address.split(":")
        with socket.create_connection((host, int(port))) as raw:
            with trusted.wrap_socket(raw, server_hostname=host) as connection:
                assert connection.version() in ("TLSv1.2", "TLSv1.3")
