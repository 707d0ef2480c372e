"""The page for operators and its JSON, beside the metrics: read-only unless the settings say otherwise.

It runs in a thread and an event loop of its own, and reads: nothing here is waited for by what answers Zeek or blocks.
"""
