"""All fuzz targets."""

from __future__ import annotations

from fuzz import bundle_targets, growing_targets, ingest_targets, offline_targets, sidecar_targets, value_targets
from fuzz.harness import TARGETS

__all__ = [
    "TARGETS",
    "bundle_targets",
    "growing_targets",
    "ingest_targets",
    "offline_targets",
    "sidecar_targets",
    "value_targets",
]
