"""The servers of ``landfall up``."""

from __future__ import annotations

import base64
import itertools
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

from ._binary import Binary, Process, request

#: Home network of the profiles in stock, and their profile type.
HOME = "724-99"
PROFILE_TYPE = "pytest"
#: First ICCID (without check digit) and IMSI of the profiles that are made when the stock is empty.
FIRST_ICCID, FIRST_IMSI = "8972499000000300000", "724990000300000"
#: `landfall up` orders the profile of subscriber 1 for itself.
FIRST_SUBSCRIBER = 2


@dataclass(frozen=True)
class Order:
    """A profile order, as the SM-DP+ shows it."""

    iccid: str
    #: State of the profile: ``Released``, ``Downloaded``, ``Installed``, ``Error``, ...
    state: str
    matching_id: str | None
    #: ``LPA:1$...``; None if the order has no MatchingID.
    activation_code: str | None
    download_attempts: int
    #: EID of the eUICC that received the package.
    handed_to: str | None

    @classmethod
    def _of(cls, body: dict[str, Any]) -> Order:
        return cls(
            iccid=body["iccid"],
            state=body["state"],
            matching_id=body.get("matchingId"),
            activation_code=body.get("activationCode"),
            download_attempts=body["downloadAttempts"],
            handed_to=body.get("handedTo"),
        )


@dataclass(frozen=True)
class SmDp:
    """The SM-DP+, and its admin API."""

    #: ``HOST:PORT`` of ES9+ and ES2+ (TLS).
    address: str
    #: Base URL of the admin API.
    admin: str
    #: Certificate of the CI that LPAs and eUICCs trust (DER).
    ca_certificate: Path

    @property
    def ca_certificate_pem(self) -> str:
        """The same certificate as PEM text, for ``ssl.create_default_context(cadata=...)`` and others."""
        return ssl.DER_cert_to_PEM_cert(self.ca_certificate.read_bytes())

    def order(self, **fields: object) -> Order:
        """Orders and releases a profile. Without ``iccid`` or ``profile_type``, any profile in stock, or a new one.

        The keywords are the fields of ``POST /admin/v1/orders`` in snake case, such as ``confirmation_code``,
        ``matching_id``, ``eid``, ``expires`` and ``state``.
        """
        if not fields.keys() & {"iccid", "profile_type"}:
            fields["profile_type"] = PROFILE_TYPE
        return Order._of(self.request("POST", "/admin/v1/orders", {_camel(name): v for name, v in fields.items()}))

    def find(self, iccid: str) -> Order:
        """Returns the pending or last order of a profile."""
        return Order._of(self.request("GET", f"/admin/v1/orders/{iccid}"))

    def end(self, iccid: str) -> None:
        """Ends an order in any state. The profile can be ordered again."""
        self.request("DELETE", f"/admin/v1/orders/{iccid}")

    def add(self, package: bytes, **fields: object) -> str:
        """Adds a profile package (TCA, DER) to the stock. Returns its ICCID."""
        body = {_camel(name): value for name, value in fields.items()}
        body["package"] = base64.b64encode(package).decode()
        return str(self.request("POST", "/admin/v1/stock", body)["iccid"])

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Calls the admin API (docs/admin-api.json)."""
        return request(method, self.admin + path, body)


@dataclass(frozen=True)
class Network:
    """The simulated mobile networks."""

    #: ``HOST:PORT`` for devices.
    address: str
    #: Home network of the profiles in stock, ``MCC-MNC``.
    plmn: str


@dataclass(frozen=True)
class Servers:
    """The servers of ``landfall up``."""

    binary: Binary
    process: Process
    data_dir: Path
    sm_dp: SmDp
    #: ``HOST:PORT`` of the SM-DS (TLS).
    sm_ds: str
    network: Network
    eids: Iterator[str]

    @classmethod
    def start(cls, binary: Binary, folder: Path, stock: int) -> Servers:
        """Starts the servers on free ports, and waits until they accept connections."""
        preset, data = folder / "preset.toml", folder / "data"
        entries = map(_stock_entry, range(FIRST_SUBSCRIBER, FIRST_SUBSCRIBER + stock))
        preset.write_text("".join(entries) + _template_entry())
        free = [part for name in ("sm-dp", "sm-ds", "network", "admin") for part in (f"--{name}", "127.0.0.1:0")]
        process = binary.serve(folder / "up.log", "--data-dir", data, "up", *free, "--no-card", "--preset", preset)

        at = process.addresses
        sm_dp = SmDp(at["sm_dp"], f"http://{at['admin']}", process.root_certificate)
        network = Network(at["network"], HOME)
        return cls(binary, process, data, sm_dp, at["sm_ds"], network, map(_eid, itertools.count(1000)))


def _stock_entry(number: int) -> str:
    return f'[[stock]]\nsubscription = "{HOME}"\nnumber = {number}\nprofileType = "{PROFILE_TYPE}"\n'


def _template_entry() -> str:
    return (
        f'[[templates]]\nprofileType = "{PROFILE_TYPE}"\niccid = "{FIRST_ICCID}"\nimsi = "{FIRST_IMSI}"\n'
        f'description.usim.spn = "Network {HOME}"\n'
    )


def _eid(serial: int) -> str:
    """An EID of the test EUM, with its check digits (SGP.02 section 2.2.2, ISO/IEC 7064 MOD 97-10)."""
    digits = f"89049032{serial:022}"
    return f"{digits}{98 - int(digits + '00') % 97:02}"


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))
