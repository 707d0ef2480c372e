"""portkin: the light runtime beside Zeek and Suricata."""

__version__ = "0.1.0"
