"""Offline: ingest, port graph, tables, probing rates, replay and evaluation."""
