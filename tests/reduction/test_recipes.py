"""Recipes as a whole: their hashes, their warming, real frames."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reduction import fitsio, recipes
from reduction.combine import CombineParams
from reduction.exposure import Exposure
from reduction.flags import PixelFlag
from reduction.frameinfo import FrameKind
from reduction.headers.translate import translate
from reduction.image import Image
from reduction.kernels import combine, cosmics, counts, detrend, rows
from reduction.overscan import OverscanParams
from reduction.recipes import (
    BiasParams,
    CalibrateParams,
    Calibrations,
    DarkFrame,
    FlatParams,
    calibrate,
    make_bias,
    make_dark,
    make_flat,
    recipe_hash,
)
from reduction.warm import warm
from tests.realdata import needs_shared, shared
from tests.reduction.detector import Detector

ROOT = Path(__file__).resolve().parent.parent.parent


def test_hash_tells_recipes_and_parameters_apart_and_nothing_else() -> None:
    hashes = [
        recipe_hash("bias", BiasParams()),
        recipe_hash("dark", BiasParams()),
        recipe_hash("bias", BiasParams(hot_sigma=9.0)),
        recipe_hash("bias", BiasParams(overscan=OverscanParams(order=4))),
        recipe_hash("calibrate", CalibrateParams()),
    ]

    assert len(set(hashes)) == len(hashes)
    assert recipe_hash("bias", BiasParams(CombineParams())) == hashes[0]
    assert all(len(h) == 12 and int(h, 16) >= 0 for h in hashes)


def test_hash_follows_the_version_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    before = recipe_hash("bias", BiasParams())

    monkeypatch.setattr(recipes, "CODE_VERSION", recipes.CODE_VERSION + 1)

    assert recipe_hash("bias", BiasParams()) != before


def test_warming_leaves_no_kernel_to_load_or_compile() -> None:
    # In a process of its own: this one has run other tests.
    script = "from tests.reduction import test_recipes as t; t.print_kernels_loaded_late()"

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def print_kernels_loaded_late() -> None:
    """Warm, run a night, and print the kernels that the night had to load."""
    warm()
    before = _loaded()
    for dtype in (">i2", "<u2", ">f4"):
        _a_night(np.random.default_rng(1), dtype)
    late = sorted(name for name, n in _loaded().items() if n > before[name])
    sys.stdout.write("\n".join(late))


def _loaded() -> dict[str, int]:
    """Return how many versions of each kernel are loaded."""
    return {
        f"{module.__name__}.{name}": len(kernel.signatures)
        for module in (combine, cosmics, counts, detrend, rows)
        for name, kernel in vars(module).items()
        if hasattr(kernel, "signatures")
    }


def test_kernels_give_the_same_bytes_the_day_they_are_compiled_and_the_day_after(
    tmp_path: Path,
) -> None:
    script = "from tests.reduction import test_recipes as t; t.print_digest_of_nights()"
    environ = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}

    days = [
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT,
            env=environ,
        ).stdout
        for _ in ("compiled", "loaded")
    ]  # fmt: skip

    assert len(days[0]) == hashlib.sha256().digest_size * 2
    assert days[0] == days[1]


def print_digest_of_nights() -> None:
    """Print the hash of every pixel that some nights' recipes make."""
    digest = hashlib.sha256()
    for dtype in ("<u2", ">f4"):
        for image in _a_night(np.random.default_rng(1), dtype):
            for plane in (image.data, image.variance, image.mask):
                digest.update(np.ascontiguousarray(plane).tobytes())
    sys.stdout.write(digest.hexdigest())


def _a_night(rng: np.random.Generator, dtype: str) -> list[Image]:
    """Run every recipe on raw frames of the usual kind, with a hit and a saturated star."""
    camera = Detector(ny=120, nx=130, dtype=dtype, saturation_adu=30000.0)
    bias = make_bias(camera.biases(6, rng)).image
    dark = DarkFrame(make_dark(camera.darks(5, rng, 10.0), bias=bias).image, 10.0, None, True)
    masters = Calibrations(bias, dark)
    flat = make_flat(camera.flats([9000.0, 10000.0, 12000.0], rng), calibrations=masters).image
    light = np.full((120, 130), 500.0)
    light[60, 60:64] += 4000
    light[20:30, 20] += 90000
    raw = camera.expose(FrameKind.SCIENCE, rng, light, exptime_s=5.0)
    result = calibrate(raw, calibrations=replace(masters, flat=flat))
    assert result.counts["cosmic_ray"] > 0
    assert result.counts["saturated"] > 0
    return [bias, dark.image, flat, result.image]


def opened(path: Path, *, kind: FrameKind | None = None) -> Exposure:
    info = translate(fitsio.read_headers(path), file_name=path.name)[0]
    if kind is not None:
        info = replace(info, kind=kind, kind_doubt=None)
    return fitsio.open_exposure(path, info)


def night(folder: str, pattern: str = "*") -> list[Path]:
    return sorted(shared("data", "RAW", folder).glob(pattern))


@needs_shared
def test_stl_1001_gives_the_known_bias_darks_and_hot_pixels() -> None:
    bias = make_bias([opened(p) for p in night("2017-09-08", "bias*")])
    darks = {
        name: make_dark([opened(p) for p in night("2017-09-08", pattern)], bias=bias.image)
        for name, pattern in {
            "10s": "darks-expos10s-Neg5*",
            "60s": "darks-expos1-Neg5*",
            "300s": "darks-expos300s-Neg5*",
            "cold": "darks-expos300s-Neg10*",
        }.items()
    }

    medians = {name: dark.stats.median for name, dark in darks.items()}
    hot = {name: int((dark.image.data > 1000).sum()) for name, dark in darks.items()}
    assert bias.stats.median == pytest.approx(992.8, abs=1.0)
    assert np.sqrt(3 * np.median(bias.image.variance)) == pytest.approx(6.3, rel=0.1)
    assert bias.thin
    assert medians["10s"] == pytest.approx(5, abs=1.5)
    assert medians["60s"] == pytest.approx(24, abs=1.5)
    assert medians["300s"] == pytest.approx(106, abs=2)
    assert medians["cold"] == pytest.approx(52, abs=2)
    assert hot["60s"] == pytest.approx(784, rel=0.02)
    assert hot["300s"] == pytest.approx(6190, rel=0.02)
    assert (darks["60s"].exptime_s, len(darks["60s"].used)) == (60.0, 3)


@needs_shared
def test_ngc_2420_is_flat_after_bias_and_flat() -> None:
    first = [opened(p) for p in night("2021-03-18")]
    bias = make_bias([e for e in first if e.info.kind == FrameKind.BIAS])
    flats = {
        e.info.band: make_flat([e], calibrations=Calibrations(bias.image)).image
        for e in first
        if e.info.kind == FrameKind.FLAT
    }

    assert bias.stats.median == pytest.approx(672, abs=1)
    for path in night("2021-03-28")[3:6]:  # the deep exposures in B
        raw = opened(path)
        masters = Calibrations(bias.image, flat=flats[raw.info.band], bias_frames=2)
        result = calibrate(raw, calibrations=masters)
        good = result.image.mask == 0
        cells = [
            np.median(part[ok])
            for rows, oks in zip(
                np.array_split(result.image.data, 8), np.array_split(good, 8), strict=True
            )
            for part, ok in zip(
                np.array_split(rows, 8, axis=1), np.array_split(oks, 8, axis=1), strict=True
            )
        ]
        assert list(result.done) == ["bias", "flat", "gain", "cosmic rays"]
        assert np.std(cells) / np.median(cells) < 0.02
        predicted = np.sqrt(np.median(result.image.variance[good]))
        assert result.stats.noise == pytest.approx(predicted, rel=0.05)


@needs_shared
def test_four_amplifiers_of_a_sinistro_become_one_frame_without_seams() -> None:
    (path,) = night("2021-10-07")

    result = calibrate(opened(path), calibrations=Calibrations())

    data = result.image.data
    pairs = [
        (data[:512, 480:512], data[:512, 512:544]),
        (data[512:, 480:512], data[512:, 512:544]),
        (data[480:512, :512], data[512:544, :512]),
        (data[480:512, 512:], data[512:544, 512:]),
    ]
    for here, there in pairs:
        assert np.median(here) / np.median(there) == pytest.approx(1, abs=0.005)
    assert data.shape == (1024, 1024)
    assert any("matched at their seams" in note for note in result.notes)
    assert len(result.missing) == 2


@needs_shared
def test_uncalibrated_frame_of_unknown_gain_is_reduced_and_says_what_is_missing() -> None:
    path = night("2017-12-19")[0]

    result = calibrate(opened(path), calibrations=Calibrations())

    assert result.image.unit == "adu"
    assert [s.split(":")[0] for s in result.missing] == [
        "no bias",
        "no dark",
        "no flat in band Clear",
    ]
    assert 200 < result.counts["saturated"] < 400
    assert (result.image.data[(result.image.mask & PixelFlag.SATURATED) != 0] > 2000).any()


@needs_shared
def test_bright_flats_make_the_gain_of_the_stl_1001() -> None:
    bias = make_bias([opened(p) for p in night("2017-09-08", "bias*")]).image
    flats = [opened(p, kind=FrameKind.FLAT) for p in night("2017-09-08", "flat*")]

    flat = make_flat(flats, calibrations=Calibrations(bias), params=FlatParams())

    # Three flats of 18650 ADU: the noise of their mean is that of their photons at 1.8 e-/ADU.
    expected = np.sqrt(1 / (3 * 18650 * 1.8))
    assert np.sqrt(np.median(flat.image.variance)) == pytest.approx(expected, rel=0.06)
