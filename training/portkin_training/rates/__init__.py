"""Paper 2: hourly probing rates per port, their affinity, and their forecasts."""
