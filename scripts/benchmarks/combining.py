"""Combining in a process that has loaded nothing else: imports are part of what a start costs."""

import sys
from pathlib import Path

from reduction import fitsio
from reduction.combine import CombineParams, Method, combine
from reduction.exposure import Exposure
from reduction.fitswrite import float_hdu, primary_hdu, write_hdus
from reduction.headers.translate import translate
from reduction.readout import amplifiers, data_rows
from scripts.benchmarks.measure import Meter, peak_mb, run_arm


def biases(folder: Path) -> list[Path]:
    """Return the bias frames."""
    return sorted((folder / "bias").glob("*.fits"))


def out(folder: Path, name: str) -> Path:
    """Return a fresh path for a result."""
    path = folder / "out" / f"{name}.fits"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    return path


def opened(path: Path) -> Exposure:
    """Open a raw frame as the jobs do."""
    info = translate(fitsio.read_headers(path), file_name=path.name)[0]
    return fitsio.open_exposure(path, info)


def combine_biases(folder: Path, method: Method, name: str) -> dict[str, float]:
    """Combine the bias frames, write the result, and return what it took beside its arrays."""
    before = peak_mb()
    rows = [data_rows(e, amplifiers(e.info)[0]) for e in map(opened, biases(folder))]
    result = combine(rows, params=CombineParams(method, 3.0, 3.0))
    arrays = result.data.nbytes + result.variance.nbytes + result.count.nbytes
    beside = peak_mb() - before - arrays / 2**20
    plane = float_hdu([("EXTNAME", "SCI", "")], result.data)
    write_hdus(folder / "out" / f"{name}.fits", [primary_hdu([]), plane])
    return {"beside_mb": max(0.0, beside)}


def combine_cold(meter: Meter, folder: Path) -> None:
    """Combine once, in a process that has loaded nothing yet."""
    out(folder, "cold")
    meter.note(**combine_biases(folder, "sigma_clip", "cold"))


if __name__ == "__main__":
    run_arm({"combine_cold": combine_cold}, sys.argv[1:])
