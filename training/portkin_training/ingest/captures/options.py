"""How captures are read: which packet of a tunnel counts, and what distinguishes equal addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from portkin_training.ingest.captures.layers import OUTER, VLAN, VNI

Context = Literal["none", "vlan", "vni"]


@dataclass(frozen=True)
class CaptureOptions:
    """How captures are read.

    Attributes:
        outer: in a tunnel the outermost packet counts, not the innermost.
        context: what makes two hosts of one address: "none", nothing, as in Zeek by itself; "vlan", the VLANs of the
            frame, as with Zeek's frameworks/conn_key/vlan_fivetuple; "vni", the network identifier of VXLAN and Geneve.
    """

    outer: bool = False
    context: Context = "none"

    @property
    def bits(self) -> int:
        """The same for `layers.decode`."""
        return (OUTER if self.outer else 0) | {"none": 0, "vlan": VLAN, "vni": VNI}[self.context]
