"""Other programs' arms. Run by an interpreter of their own, in which this one need not work."""

import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from scripts.benchmarks.measure import Arm, Meter, run_arm

GAIN, READ_NOISE_E, OVERSCAN, SATURATION = 1.5, 8.0, 64, 60000


def out(folder: Path, name: str) -> Path:
    """Return a fresh path for a result."""
    path = folder / "out" / f"{name}.fits"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    return path


def siril(meter: Meter, folder: Path, links: dict[str, Path], script: list[str]) -> None:
    """Run a Siril script in a fresh folder of links."""
    work = folder / "siril"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for name, path in links.items():
        (work / name).symlink_to(path.resolve())
    lines = ["requires 1.0.0", "setcpu 2", "setext fits", "set32bits", *script]
    (work / "run.ssf").write_text("\n".join(lines) + "\n")
    command = ["siril-cli", "-d", str(work.resolve()), "-s", str((work / "run.ssf").resolve())]
    runs: list[subprocess.CompletedProcess[str]] = []
    meter.time(
        lambda: runs.append(subprocess.run(command, capture_output=True, text=True, check=False))
    )
    done = runs[-1]
    if done.returncode or "execution failed" in done.stdout:
        errors = [line for line in done.stdout.splitlines() if "rror" in line]
        sys.exit("Siril: " + (errors or [f"exit code {done.returncode}"])[-1])


def old_siril() -> bool:
    """Tell whether Siril is older than 1.2, which renamed a command."""
    done = subprocess.run(["siril-cli", "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip().split()[-1].startswith(("1.0", "1.1"))


def siril_stack(meter: Meter, folder: Path) -> None:
    """Stack the biases with a 3 sigma clip."""
    links = {path.name: path for path in sorted((folder / "bias").glob("*.fits"))}
    siril(meter, folder, links, ["stack bias_ rej s 3 3 -nonorm -out=master"])


def siril_calibrate(meter: Meter, folder: Path) -> None:
    """Calibrate two frames in one process; the figure is that of one."""
    science = folder / "science"
    links = {
        "l_00001.fits": science / "sci_00001.fits",
        "l_00002.fits": science / "sci_00002.fits",
        "mbias.fits": science / "mbias.fits",
        "mflat.fits": science / "mflat.fits",
    }
    verb = "preprocess" if old_siril() else "calibrate"
    siril(meter, folder, links, [f"{verb} l_ -bias=mbias -flat=mflat"])
    meter.figures["cpu_s"] /= 2
    meter.figures["wall_s"] /= 2


def ccdproc_combine(meter: Meter, folder: Path) -> None:
    """Combine the biases with ccdproc, clipped once."""
    import ccdproc

    paths, target = sorted((folder / "bias").glob("*.fits")), out(folder, "ccdproc")

    def work() -> None:
        result = ccdproc.combine(
            [str(path) for path in paths],
            mem_limit=2e9,
            unit="adu",
            dtype="float32",
            method="average",
            sigma_clip=True,
            sigma_clip_low_thresh=3,
            sigma_clip_high_thresh=3,
            sigma_clip_func="median",
            sigma_clip_dev_func="std",
        )
        result.write(target, overwrite=True)

    meter.time(work)


def ccdproc_detrend(meter: Meter, folder: Path) -> None:
    """Reduce one frame with ccdproc: the same job as ours, with its masters in memory too.

    Its own order of steps (`ccd_process`): a cubic along the overscan, uncertainty from the counts
    above it, bias and flat each with their uncertainty, flags of bad and saturated pixels; value,
    uncertainty and mask written with checksums. It knows one flag only, and no digest.
    """
    import ccdproc
    from astropy import units
    from astropy.modeling.models import Chebyshev1D
    from astropy.nddata import CCDData, StdDevUncertainty

    science, target = folder / "science", out(folder, "ccdproc")

    def master(name: str, unit: units.UnitBase, variance: float) -> CCDData:
        made = CCDData.read(science / f"trimmed_{name}.fits", unit=unit)
        made.data = np.ascontiguousarray(made.data, dtype=np.float32)
        made.uncertainty = StdDevUncertainty(np.full_like(made.data, np.sqrt(variance)))
        return made

    bias = master("bias", units.adu, 1.4)
    flat = master("flat", units.dimensionless_unscaled, 1e-6)
    bad = CCDData.read(science / "trimmed_bad.fits", unit="adu").data.astype(bool)

    def work() -> None:
        raw = CCDData.read(science / "sci_00001.fits", unit="adu")
        side = raw.shape[1]
        gain, noise = GAIN * units.electron / units.adu, READ_NOISE_E * units.electron
        over = raw[:, side - OVERSCAN :]
        frame = ccdproc.subtract_overscan(
            raw, overscan=over, overscan_axis=1, median=True, model=Chebyshev1D(3)
        )
        frame = ccdproc.trim_image(frame[:, : side - OVERSCAN])
        frame = ccdproc.create_deviation(frame, gain=gain, readnoise=noise, disregard_nan=True)
        frame = ccdproc.gain_correct(ccdproc.subtract_bias(frame, bias), gain)
        frame = ccdproc.flat_correct(frame, flat)
        frame.mask = bad | (raw.data[:, : side - OVERSCAN] >= SATURATION)
        frame.data = frame.data.astype(np.float32)
        frame.uncertainty.array = frame.uncertainty.array.astype(np.float32)
        frame.write(target, overwrite=True, checksum=True)

    meter.time(work)


def ccdproc_scan(meter: Meter, folder: Path) -> None:
    """Read the headers of many files with ccdproc."""
    import ccdproc

    def work() -> None:
        n = sum(
            len(ccdproc.ImageFileCollection(str(path)).summary)
            for path in sorted((folder / "small").iterdir())
        )
        meter.note(files=n)

    meter.time(work)


def scrappy(meter: Meter, folder: Path) -> None:
    """Find hits with astroscrappy."""
    import astroscrappy
    from astropy.io import fits

    def work() -> None:
        data = fits.getdata(folder / "science" / "calibrated.fits").astype(np.float32)
        hits, _ = astroscrappy.detect_cosmics(
            data, gain=1.0, readnoise=READ_NOISE_E, satlevel=1e9, niter=4, sepmed=True
        )
        meter.note(hits=int(hits.sum()))

    meter.time(work)


ARMS: dict[str, Arm] = {
    "siril_stack": siril_stack,
    "siril_calibrate": siril_calibrate,
    "ccdproc_combine": ccdproc_combine,
    "ccdproc_detrend": ccdproc_detrend,
    "ccdproc_scan": ccdproc_scan,
    "scrappy": scrappy,
}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    run_arm(ARMS, sys.argv[1:])
