"""Puts the binary that `packaging/wheel` names into the wheel."""

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Binary(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        build_data["tag"] = f"py3-none-{os.environ['LANDFALL_PLATFORM']}"
        binary = os.environ["LANDFALL_BINARY"]
        build_data["shared_scripts"][binary] = "landfall"
        for name in ["landfall.cdx.json", "THIRD-PARTY-NOTICES.txt"]:
            build_data["force_include"][os.path.join(os.path.dirname(binary), name)] = f"pytest_landfall/{name}"
