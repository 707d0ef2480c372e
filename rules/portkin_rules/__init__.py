"""Suricata rules out of a port table, and their place in suricata-update."""
