"""How right the program is where the truth is known: places, fluxes, zero points, completeness."""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from scripts.benchmarks.accuracy_facts import Fact
from scripts.benchmarks.accuracy_light import light
from scripts.benchmarks.accuracy_places import places


def measured(*, quick: bool, peers: str | None = None) -> Iterator[Fact]:
    """Yield everything that is measured, on few fields where it is to be quick."""
    yield from places(quick=quick)
    yield from light(quick=quick, peers=peers)


def tell(facts: Iterable[Fact], path: Path | None) -> None:
    """Print each line as it is there, and write all where that is wanted."""
    told, started = [], time.process_time()
    for fact in facts:
        verdict = f"  MISSED: {fact.missed}" if fact.missed else ""
        print(f"{fact.of:64}  {fact.found}{verdict}", flush=True)
        told.append(asdict(fact))
        if path is not None:
            path.write_text(json.dumps(told, indent=1) + "\n")
    print(f"{len(told)} lines, {time.process_time() - started:.0f} s of CPU time")
