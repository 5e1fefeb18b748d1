"""What a measurement of accuracy says: of what, what was found, which aims it misses."""

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Fact:
    """One line of the table.

    Attributes
    ----------
    of, found : str
        Of what, and what was found.
    figures : dict
        The numbers of it.
    missed : str
        The aims it falls short of; empty where it meets them.
    """

    of: str
    found: str
    figures: dict[str, float]
    missed: str = ""


def note(what: str, k: int, n: int) -> None:
    """Say how far a measurement is, ten times in all."""
    if k % max(1, n // 10) == 0:
        print(f"  {what}: {k} of {n}", file=sys.stderr, flush=True)
