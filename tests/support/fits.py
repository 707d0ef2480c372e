"""What commands fitted, so that two runs can be held against each other: all of it but how long it took, and when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def judged(said: str) -> dict[str, Any]:
    """What ``rates evaluate --json`` found."""
    found = json.loads(said)
    for port in found["ports"].values():
        for model in port["models"].values():
            del model["seconds"]
    return found


def shipped(bundle: Path) -> dict[str, Any]:
    """What a bundle of ``rates train`` holds, but where its series lay."""
    found: dict[str, Any] = {path.name: path.read_bytes() for path in bundle.glob("*.onnx")}
    assert found
    about = json.loads((bundle / "manifest.json").read_text())["about"]
    del about["series"]
    return found | {"about": about}
