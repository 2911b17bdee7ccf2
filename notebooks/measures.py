"""Reads what was measured. A local module: it travels with the tasks that import it."""

import csv


def read(path: str, measure: str) -> dict[str, list[float]]:
    """Give the values of one measure for each species."""
    values: dict[str, list[float]] = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            if row[measure] != "NA":
                values.setdefault(row["species"], []).append(float(row[measure]))
    return values
