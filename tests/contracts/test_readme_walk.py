"""The README's walk with curl, as it is printed, on the whole program; then the stars' fluxes."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.services import simulation
from reduction.simulate import FrameTruth, NightParams, Truth, read_truth
from tests.accuracy.photometry import Photometry, measure, read_planes, sky_ratio, together
from tests.faults.program import ROOT, Program, served

SETTINGS = """
[server]
workers = 2
[scan]
watch = false
settle_s = 1
"""
LARGEST_BIAS = 0.005


@pytest.fixture(scope="module")
def program(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Program]:
    with served(tmp_path_factory.mktemp("walk"), pytestconfig, SETTINGS, workers=2) as made:
        yield made


def printed_walk() -> str:
    text = (ROOT / "README.md").read_text()
    section = text.partition("## With curl alone")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"^    (.*)$|^$", section, flags=re.MULTILINE))


def truth_of(program: Program) -> Truth:
    with program.context():
        params = NightParams()
        simulation.simulate(params)
        return read_truth(simulation.truth_folder(f"{params.night:%Y-%m-%d}"))


@pytest.mark.slow
def test_walk_ends_with_a_reduced_frame_whose_stars_have_the_simulated_fluxes(
    program: Program, tmp_path: Path
) -> None:
    truth = truth_of(program)
    environ = os.environ | {
        "HOST": f"http://127.0.0.1:{program.port}",
        "NIGHT": f"{truth.params.night:%Y-%m-%d}",
        "PASSWORD": "night-sky-7",
    }

    walk = subprocess.run(
        ["bash", "-eu", "-c", printed_walk()],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert walk.returncode == 0, walk.stdout[-3000:] + walk.stderr[-3000:]
    [downloaded] = tmp_path.glob("*.fits")
    products = sorted((program.instance / "data" / "PROCESSED").rglob("*.fits"))
    assert downloaded.name in {path.name for path in products}
    stars = together(_measured(truth, products))
    assert abs(stars.bias(50.0)[0]) < LARGEST_BIAS
    assert np.std(stars.pulls) == pytest.approx(1.0, abs=0.05)
    assert np.mean(_sky_ratios(truth, products)) == pytest.approx(1.0, abs=0.03)


def _plain(truth: Truth, products: list[Path]) -> Iterator[tuple[FrameTruth, Path]]:
    """The science frames of the bands without fringes, each with its product."""
    plain = {band.name for band in truth.params.bands if not band.fringe}
    for frame in truth.of("science"):
        if frame.band in plain and not frame.fault:
            stem = Path(frame.file).stem
            yield from ((frame, path) for path in products if path.name.startswith(stem))


def _measured(truth: Truth, products: list[Path]) -> list[Photometry]:
    parts = [
        measure(read_planes(path), frame, truth.sources[frame.file])
        for frame, path in _plain(truth, products)
    ]
    assert len(parts) > 10
    return parts


def _sky_ratios(truth: Truth, products: list[Path]) -> list[float]:
    """How the scatter of blank sky compares with what VAR says of it, frame by frame."""
    return [
        sky_ratio(read_planes(path), frame, truth.sources[frame.file])
        for frame, path in _plain(truth, products)
    ]
