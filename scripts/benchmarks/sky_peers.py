"""Other programs on the same sources, fields, stars and cones. Run by the peers' interpreter."""

import json
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from scripts.benchmarks.measure import Arm, Meter, run_arm

READ_NOISE_E, SIDE, CONE_DEG = 8.0, 2048, 0.15
THRESHOLD, MIN_PIXELS, MESH = 4.0, 5, 64  # of our own detection
RIGHT_DEG = 0.001
SEXTRACTOR = """CATALOG_NAME {out}
CATALOG_TYPE FITS_1.0
PARAMETERS_NAME {folder}/list.param
FILTER_NAME {folder}/list.conv
DETECT_MINAREA 5
DETECT_THRESH 1.5
ANALYSIS_THRESH 1.5
THRESH_TYPE RELATIVE
FILTER Y
DEBLEND_NTHRESH 32
DEBLEND_MINCONT 0.005
CLEAN Y
BACK_SIZE 64
BACK_FILTERSIZE 3
PHOT_APERTURES 6
GAIN 1.0
NTHREADS 1
VERBOSE_TYPE QUIET
"""
COLUMNS = "X_IMAGE Y_IMAGE XWIN_IMAGE YWIN_IMAGE ERRAWIN_IMAGE FLUX_ISO FLUX_APER FLUXERR_APER"
SHAPES = "FLUX_RADIUS A_IMAGE B_IMAGE THETA_IMAGE FWHM_IMAGE FLAGS"
C_ALONE = ("--no-remove-lines", "--uniformize", "0")  # of solve-field's programs
GAUSS = (1.0, 2.0, 1.0)  # its own filter: 4 sigma after it are 1.5 of an unfiltered pixel


def sep_detect(meter: Meter, folder: Path) -> None:
    """Find sources with sep: what ours does, by its calls."""
    import sep
    from astropy.io import fits

    data = fits.getdata(folder / "science" / "calibrated.fits").astype(np.float32)
    noise = np.sqrt(np.maximum(data, 0) + np.float32(READ_NOISE_E**2))
    sep.set_extract_pixstack(3_000_000)
    sep.set_sub_object_limit(8192)

    def work() -> None:
        sky = sep.Background(data, bw=MESH, bh=MESH)
        above = data - sky.back()
        found = sep.extract(above, THRESHOLD, err=noise, minarea=MIN_PIXELS)
        x, y, width = found["x"], found["y"], np.full(len(found), 3.2)
        sep.winpos(above, x, y, width / 2.35)
        sep.flux_radius(above, x, y, 6 * width, 0.5)
        sep.sum_circle(above, x, y, width, err=noise)
        meter.note(sources=len(found))

    meter.time(work)


def sextractor(meter: Meter, folder: Path) -> None:
    """Find sources with SExtractor; the figure is that of its process."""
    with tempfile.TemporaryDirectory() as work:
        frame = folder / "science" / "calibrated.fits"
        command, out = sextracting(frame, Path(work), GAUSS, {})
        meter.time(lambda: subprocess.run(command, check=True, capture_output=True))
        meter.note(sources=len(listed(out)))


def sextracting(
    frame: Path, work: Path, taps: Sequence[float], changed: Mapping[str, object]
) -> tuple[list[str], Path]:
    """Return the command that finds the sources of a frame, and where it will write them."""
    program = shutil.which("source-extractor") or shutil.which("sex")
    if program is None:
        sys.exit("SExtractor is not installed")
    out = work / "out.fits"
    rows = "\n".join(" ".join(f"{a * b:.6g}" for b in taps) for a in taps)
    (work / "list.conv").write_text(f"CONV NORM\n{rows}\n")
    (work / "list.param").write_text("\n".join([*COLUMNS.split(), *SHAPES.split()]))
    settings = work / "list.sex"
    settings.write_text(SEXTRACTOR.format(out=out, folder=work))
    words = [word for name, value in changed.items() for word in (f"-{name}", str(value))]
    return [program, str(frame), "-c", str(settings), *words], out


def listed(path: Path) -> np.ndarray:
    """Return the table SExtractor wrote."""
    from astropy.io import fits

    return np.asarray(fits.getdata(path, 1))


def sextractor_list(meter: Meter, folder: Path) -> None:
    """Write the places of the sources SExtractor finds on a frame, looked through as it is told."""
    task = json.loads((folder / "task.json").read_text())
    changed = {
        "DETECT_THRESH": task["threshold"], "DETECT_MINAREA": task["min_pixels"],
        "BACK_SIZE": task["mesh"], "DEBLEND_MINCONT": task["contrast"],
    }  # fmt: skip
    command, out = sextracting(folder / "frame.fits", folder, task["taps"], changed)
    subprocess.run(command, check=True, capture_output=True)
    found = listed(out)
    np.save(
        folder / "sextractor_list.npy", np.column_stack([found["X_IMAGE"], found["Y_IMAGE"]]) - 1
    )
    meter.note(sources=len(found))


def sep_list(meter: Meter, folder: Path) -> None:
    """Write the places of the sources sep finds on a frame, looked through as it is told."""
    import sep
    from astropy.io import fits

    task = json.loads((folder / "task.json").read_text())
    data = fits.getdata(folder / "frame.fits").astype(np.float32)
    sep.set_extract_pixstack(3_000_000)
    sep.set_sub_object_limit(8192)
    sky = sep.Background(data, bw=task["mesh"], bh=task["mesh"])
    found = sep.extract(
        data - sky.back(), task["threshold"], err=sky.rms(), minarea=task["min_pixels"],
        filter_kernel=np.outer(task["taps"], task["taps"]), filter_type="conv",
        deblend_cont=task["contrast"],
    )  # fmt: skip
    np.save(folder / "sep_list.npy", np.column_stack([found["x"], found["y"]]))
    meter.note(sources=len(found))


def twirl_solve(meter: Meter, folder: Path) -> None:
    """Solve fields with twirl: the brightest of the list, and those of the catalogue there."""
    import twirl

    fields = [np.load(path) for path in sorted((folder / "sky").glob("hinted_*.npz"))]

    def solve_all() -> None:
        right = 0
        for field in fields:
            xy = np.column_stack([field["x"], field["y"]])[:20]
            ra0, dec0 = field["pointing"]
            half = 0.6 * SIDE * float(field["scale_arcsec"]) / 3600
            east = (field["ra"] - ra0 + 180) % 360 - 180
            inside = np.hypot(east * np.cos(np.radians(dec0)), field["dec"] - dec0) < half * 1.3
            sky = np.column_stack([field["ra"], field["dec"]])[inside][:30]
            wcs = twirl.compute_wcs(xy, sky, tolerance=12)
            right += is_right(wcs, field)
        meter.note(solved=right)

    meter.time(solve_all)


def is_right(wcs: object, field: object) -> int:
    """Tell whether a projection puts the middle of the frame where it is."""
    if wcs is None:
        return 0
    ra, dec = wcs.all_pix2world((SIDE - 1) / 2, (SIDE - 1) / 2, 0)  # type: ignore[attr-defined]
    true_ra, true_dec = field["centre"]  # type: ignore[index]
    east = (float(ra) - true_ra + 180) % 360 - 180
    return int(np.hypot(east * np.cos(np.radians(true_dec)), float(dec) - true_dec) < RIGHT_DEG)


def solve_field(meter: Meter, folder: Path, kind: str, *, is_whole: bool = False) -> None:
    """Solve fields with solve-field and an index of the same stars; the figure is all processes.

    As it is run it also uniformises the list and takes lines out of it, by Python programs of its
    own; without them its C programs are timed alone.
    """
    from astropy.io import fits
    from astropy.wcs import WCS

    program = shutil.which("solve-field")
    if program is None:
        sys.exit("solve-field is not installed")
    fields = sorted((folder / "sky").glob(f"{kind}_*.npz"))
    if not (folder / "sky" / f"{fields[0].stem}_index" / "index.fits").exists():
        sys.exit("its indexes were not made: remove sky.done from the folder of the bench")

    with tempfile.TemporaryDirectory() as work:
        settings = []
        for path in fields:
            settings.append(Path(work) / f"{path.stem}.cfg")
            index = folder / "sky" / f"{path.stem}_index" / "index.fits"
            settings[-1].write_text(f"inparallel\nindex {index.resolve()}\n")

        def solve_all() -> None:
            for path, config in zip(fields, settings, strict=True):
                command = solving(program, path, config, is_hinted=kind == "hinted")
                command += ["--dir", work, *([] if is_whole else C_ALONE)]
                command.append(str(path.with_suffix(".xyls")))
                subprocess.run(command, check=False, capture_output=True)

        meter.time(solve_all)
        right = 0
        for path in fields:
            made = Path(work) / f"{path.stem}.wcs"
            if made.exists():
                header = fits.getheader(made)
                header.remove("NAXIS")
                right += is_right(WCS(header, naxis=2), np.load(path))
        meter.note(solved=right)


def solving(program: str, path: Path, config: Path, *, is_hinted: bool) -> list[str]:
    """Return the command that solves a list, which is to follow."""
    words = ["--config", str(config), "--x-column", "X", "--y-column", "Y", "--no-plots"]
    words += ["--width", str(SIDE), "--height", str(SIDE), "--overwrite", "--cpulimit", "60"]
    if is_hinted:
        field = np.load(path)
        ra, dec = field["pointing"].tolist()
        scale = float(field["scale_arcsec"])
        words += ["--ra", str(ra), "--dec", str(dec), "--radius", str(SIDE * scale / 3600)]
        words += ["--scale-units", "arcsecperpix"]
        words += ["--scale-low", str(0.98 * scale), "--scale-high", str(1.02 * scale)]
    return [program, *words]


def zero_points_rlm(meter: Meter, folder: Path) -> None:
    """Fit zero points with a colour term by statsmodels' robust linear model, clipped."""
    import statsmodels.api as sm

    stars = np.load(folder / "sky" / "zero_points.npz")
    frames = list(
        zip(stars["flux"], stars["flux_error"], stars["mag"], stars["colour"], strict=True)
    )

    def fit_all() -> None:
        found = [robust(sm, *frame) for frame in frames]
        meter.note(off_mmag=float(1000 * abs(np.median(found) - 24.0)))

    meter.time(fit_all)


def robust(
    sm: object, flux: np.ndarray, error: np.ndarray, mag: np.ndarray, colour: np.ndarray
) -> float:
    """Return the zero point of one frame; stars off by five sigma are left out, five times."""
    off = mag + 2.5 * np.log10(flux)
    sigma = np.hypot(1.0857 * error / flux, 0.01)
    design = np.column_stack([np.ones_like(colour), colour])
    kept = np.ones(len(off), bool)
    value = np.nan
    for _ in range(5):
        weight = 1 / sigma[kept]
        fit = sm.RLM(off[kept] * weight, design[kept] * weight[:, None]).fit()  # type: ignore[attr-defined]
        value = float(fit.params[0])
        again = np.abs(off - design @ fit.params) < 5 * sigma
        if np.array_equal(again, kept):
            break
        kept = again
    return value


def cones_astropy(meter: Meter, folder: Path) -> None:
    """Search around all places at once with astropy; stars and tree are in memory before."""
    from astropy import units
    from astropy.coordinates import SkyCoord

    asked = np.load(folder / "sky" / "cones.npz")
    stars = SkyCoord(asked["ra"], asked["dec"], unit="deg")
    places = SkyCoord(asked["at_ra"], asked["at_dec"], unit="deg")
    radius = CONE_DEG * units.deg
    places[:1].search_around_sky(stars, radius)

    def work() -> None:
        _, found, _, _ = places.search_around_sky(stars, radius)  # one by one takes minutes
        meter.note(stars=len(found))

    meter.time(work)


ARMS: dict[str, Arm] = {
    "sep": sep_detect,
    "sextractor": sextractor,
    "sep_list": sep_list,
    "sextractor_list": sextractor_list,
    "twirl": twirl_solve,
    "solve_field": lambda meter, folder: solve_field(meter, folder, "hinted"),
    "solve_field_whole": lambda meter, folder: solve_field(meter, folder, "hinted", is_whole=True),
    "solve_field_blind": lambda meter, folder: solve_field(meter, folder, "blind"),
    "zero_points_rlm": zero_points_rlm,
    "cones_astropy": cones_astropy,
}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    run_arm(ARMS, sys.argv[1:])
