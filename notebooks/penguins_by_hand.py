"""The module that lesson 3 exports, written by hand: what the export is compared with."""

from dataclasses import dataclass
from statistics import mean

import flyte_nb as flyte

import measures

# where the measurements are
DATA = "data/penguins.csv"
DIGITS = 2


@dataclass
class Typical:
    species: str
    value: float


def rounded(value: float) -> float:
    return round(value, DIGITS)


env = flyte.TaskEnvironment(
    "penguins",
    resources=flyte.Resources(cpu=1),
    include=("data",),
)


@env.task
def typical(measure: str) -> list[Typical]:
    """Give the mean of a measure for each species."""
    values = measures.read(DATA, measure)
    return [Typical(species, rounded(mean(found))) for species, found in sorted(values.items())]


@env.task
def is_record(species: str, grams: float) -> bool:
    return grams > max(measures.read(DATA, "body_mass_g")[species])


@env.task
def first_line() -> str:
    with open("data/README.md") as readme:
        return readme.readline()


large = env.clone_with("penguins-large", resources=flyte.Resources(cpu=2, memory="1Gi"))
