"""Suricata rules from a port table, and their installation with suricata-update."""
