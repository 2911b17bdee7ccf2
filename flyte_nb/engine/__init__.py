"""Ways to run: one protocol, the same records, a folder for each engine."""
