"""A device: a software eUICC, an LPA and a modem."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ._binary import Event
from ._servers import Order, Servers


@dataclass(frozen=True)
class InstalledProfile:
    """Result of a download."""

    iccid: str
    isdp_aid: str
    service_provider_name: str
    profile_name: str
    #: True if the SM-DP+ received the notification of the installation.
    notified: bool


@dataclass(frozen=True)
class Profile:
    """A profile on the card."""

    iccid: str
    #: ``enabled`` or ``disabled``.
    state: str
    service_provider_name: str
    profile_name: str
    nickname: str | None


@dataclass(frozen=True)
class Registration:
    """A registration on a network."""

    plmn: str
    network_name: str
    country: str
    #: ``home`` or ``roaming``.
    service: str
    imsi: str
    iccid: str


@dataclass
class Device:
    """A device. Each method is one run of ``landfall device``; the card keeps its memory in between."""

    servers: Servers
    eid: str
    data_dir: Path
    #: Visible networks, strongest first, ``MCC-MNC``.
    visible: list[str]
    #: Everything that the device has done, oldest first.
    events: list[Event] = field(default_factory=list)

    @classmethod
    def create(cls, servers: Servers, data_dir: Path) -> Device:
        """Creates a device with an empty eUICC."""
        return cls(servers, next(servers.eids), data_dir, [servers.network.plmn])

    def download(self, order: Order | str, confirmation_code: str | None = None) -> InstalledProfile:
        """Downloads the profile of an order or an activation code. The profile is disabled afterwards."""
        code = order.activation_code if isinstance(order, Order) else order
        if code is None:
            raise ValueError("the order has no activation code")
        given = []
        if confirmation_code is not None:
            file = self.data_dir / "confirmation-code"
            self.data_dir.mkdir(parents=True, exist_ok=True)
            file.write_text(confirmation_code)
            given = ["--confirmation-code-file", str(file)]
        result = self.run("download", code, *given)
        return InstalledProfile(
            iccid=result["iccid"],
            isdp_aid=result["isdp_aid"],
            service_provider_name=result["metadata"]["service_provider_name"],
            profile_name=result["metadata"]["profile_name"],
            notified=result["notification"]["handled"]["result"] == "delivered",
        )

    def enable(self, iccid: str) -> None:
        """Enables a profile."""
        self.run("enable", iccid)

    def disable(self, iccid: str) -> None:
        """Disables a profile."""
        self.run("disable", iccid)

    def delete(self, iccid: str) -> None:
        """Deletes a disabled profile."""
        self.run("delete", iccid)

    def profiles(self) -> list[Profile]:
        """Lists the profiles on the card."""
        return [
            Profile(
                iccid=profile["iccid"],
                state=profile["profile_state"],
                service_provider_name=profile["service_provider_name"],
                profile_name=profile["profile_name"],
                nickname=profile["profile_nickname"],
            )
            for profile in self.run("list")
        ]

    def notify(self) -> None:
        """Delivers the pending notifications of the card, for example that a profile was enabled."""
        self.run("notifications")

    def register(self) -> Registration:
        """Registers on a visible network with the enabled profile."""
        return _registration(self.run("register"))

    def move(self, order: Order) -> Registration:
        """Downloads and enables a profile, and registers with it; falls back if that fails.

        The device must have an enabled profile that can register.
        """
        return _registration(self.run("move", str(order.activation_code))["registered"])

    def run(self, *arguments: str) -> Any:
        """Runs ``landfall device`` with these arguments. Returns its JSON result."""
        servers = self.servers
        visible = [part for plmn in self.visible for part in ("--visible", plmn)]
        result, events = servers.binary.call(
            "--data-dir", self.data_dir,
            "device", "--pki", servers.data_dir / "pki", "--sm-dp", servers.sm_dp.address,
            "--sm-ds", servers.sm_ds, "--network", servers.network.address, "--eid", self.eid, *visible, *arguments,
        )  # fmt: skip
        self.events += events
        return result


def _registration(result: dict[str, Any]) -> Registration:
    names = ("plmn", "network_name", "country", "service", "imsi", "iccid")
    return Registration(**{name: result[name] for name in names})
