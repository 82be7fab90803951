"""pytest fixtures around the ``landfall`` binary.

The plugin is loaded by pytest itself. This module has the types of the fixtures, for annotations.
"""

from ._binary import Binary, Event, LandfallError
from ._device import Device, InstalledProfile, Profile, Registration
from ._fleet import Fleet
from ._servers import Network, Order, Servers, SmDp

__all__ = [
    "Binary",
    "Device",
    "Event",
    "Fleet",
    "InstalledProfile",
    "LandfallError",
    "Network",
    "Order",
    "Profile",
    "Registration",
    "Servers",
    "SmDp",
]
