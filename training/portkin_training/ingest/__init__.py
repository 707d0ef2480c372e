"""From recordings (captures, Zeek logs, columns) to probes."""
