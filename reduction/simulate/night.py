"""A whole night, written the way a telescope-control PC fills a folder."""

import io
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from reduction.simulate.cards import TEMPERATURE_C, raw_header
from reduction.simulate.cosmics import particle_hits
from reduction.simulate.detector import Detector, Plane, RawImage, build_detector, read_out
from reduction.simulate.params import NightParams, Stream, stream
from reduction.simulate.plan import Planned, plan_night
from reduction.simulate.sky import (
    CATALOGUE_EPOCH,
    StarField,
    draw_magnitudes,
    draw_stars,
    electrons_of,
    make_stars,
    sky_electrons,
)
from reduction.simulate.truth import (
    PROPOSALS_FILE,
    REFCAT_FILE,
    REST_FILE,
    FrameTruth,
    Hits,
    Sources,
    Table,
    Truth,
    write_table,
    write_truth,
)

READOUT_EXPOSED_S = 4.0  # the detector goes on collecting particles while it is read out
KEPT_OF_TRUNCATED, KEPT_OF_GROWING = 0.6, 0.4
SETTLED_AGE_S = 3600.0  # how long ago a finished file was last written
JUNK_NAME = "observing-log.fits"
JUNK = "Seeing 1.5 arcsec, thin cirrus before midnight. Saved under the wrong name.\n"
AROUND_PIX = 40.0  # stars this far outside a frame may shine into it: the truth lists them too
CATALOGUE_FLOOR_MAG = 0.003


@dataclass(frozen=True, slots=True)
class SimulatedFrame:
    """One exposure: its numbers as the file holds them, and what is true of it."""

    raw: RawImage
    header: fits.Header
    sky_e: float
    sources: Sources | None
    hits: Hits


def simulate_night(
    raw_folder: Path, truth_folder: Path, *, params: NightParams | None = None
) -> Truth:
    """Write a night of raw frames and everything that is true of it.

    The frames go to ``raw_folder/<night>/``. With `params.faults` three files are not what
    their names say: a text, a frame whose file was cut, and a frame still being written, which
    `finish_growing` completes.

    Parameters
    ----------
    raw_folder : Path
        The RAW tree.
    truth_folder : Path
        Where the tables, the reference catalogue and the proposals go.
    params : NightParams, optional
        What to simulate; the demo's night by default.

    Returns
    -------
    Truth
        As `read_truth` reads it back.
    """
    params = params or NightParams()
    folder = raw_folder / f"{params.night:%Y-%m-%d}"
    folder.mkdir(parents=True, exist_ok=True)
    truth_folder.mkdir(parents=True, exist_ok=True)
    detector, skies, plan = build_detector(params), star_fields(params), plan_night(params)
    frames, sources, hits = [], {}, {}
    for planned, made in _exposures(plan, params, detector, skies):
        file = f"{folder.name}/{planned.file}"
        content = _fits_bytes(made.raw, made.header)
        _store(folder / planned.file, content, planned.fault, truth_folder)
        frames.append(_frame_truth(file, planned, made.sky_e))
        hits[file] = made.hits
        if made.sources is not None:
            sources[file] = made.sources
    if params.faults:
        _store(folder / JUNK_NAME, JUNK.encode(), "text", truth_folder)
        frames.append(FrameTruth(f"{folder.name}/{JUNK_NAME}", "junk", fault="text"))
    stars = _star_table(skies, params)
    bad = detector.bad
    truth = Truth(truth_folder, raw_folder, params, tuple(frames), sources, hits, stars, bad)
    write_truth(truth)
    write_table(truth_folder / REFCAT_FILE, reference_catalogue(skies, params))
    write_table(truth_folder / PROPOSALS_FILE, _proposal_table(params))
    return truth


def finish_growing(truth: Truth) -> Path:
    """Write the rest of the file that was still growing, as the camera's PC would.

    Parameters
    ----------
    truth : Truth
        Of a night with faults.

    Returns
    -------
    Path
        The file, whole now; one that was already whole is left as it is.

    Raises
    ------
    FileNotFoundError
        If the night has no such file.
    """
    growing = next((frame for frame in truth.frames if frame.fault == "growing"), None)
    if growing is None:
        raise FileNotFoundError("this simulated night has no file that is still growing")
    path, rest = truth.path(growing), truth.folder / REST_FILE
    if path.stat().st_size % fits.header.BLOCK_SIZE:
        with path.open("ab") as stream:
            stream.write(rest.read_bytes())
    return path


def star_fields(params: NightParams) -> list[StarField]:
    """Return the stars of every field, numbered through."""
    skies: list[StarField] = []
    for i, target in enumerate(params.fields):
        skies.append(make_stars(params, target, i, 1 + sum(s.star_id.size for s in skies)))
    return skies


def expose(
    planned: Planned,
    index: int,
    *,
    params: NightParams,
    detector: Detector,
    skies: Sequence[StarField],
) -> SimulatedFrame:
    """Take one exposure.

    Parameters
    ----------
    planned : Planned
        Which.
    index : int
        Its place in the night: its stream of random numbers.
    params, detector, skies
        The camera and the stars of every field.

    Returns
    -------
    SimulatedFrame
        The same for the same arguments, whatever was exposed before.
    """
    rng = stream(params, Stream.FRAME, index)
    temperature_c = TEMPERATURE_C + float(rng.normal(0.0, 0.05))
    mean_hits = params.cosmic_rays_per_s * params.area * (planned.exptime_s + READOUT_EXPOSED_S)
    hits_e = particle_hits(params.shape, mean_hits, rng)
    expected_e = detector.dark_e_per_s * planned.exptime_s
    sky_e, sources = np.nan, None
    if planned.kind == "flat":
        sky_e = planned.level_adu * params.gain_e_per_adu
        light = sky_e + _twilight_stars(planned, params, rng)
        expected_e += light * detector.response[planned.band]
    elif planned.kind == "science":
        sky_e, sources, light = _science_light(planned, params, detector, skies)
        expected_e += light * detector.response[planned.band]
    raw = read_out(expected_e, hits_e, detector=detector, params=params, rng=rng)
    y, x = np.nonzero(hits_e)
    header = raw_header(planned, params, temperature_c=temperature_c)
    return SimulatedFrame(raw, header, sky_e, sources, Hits(x, y, hits_e[y, x]))


def reference_catalogue(skies: Sequence[StarField], params: NightParams) -> Table:
    """Return the catalogue a survey would have made of the fields.

    Columns: star_id, ra_deg, dec_deg at `CATALOGUE_EPOCH` with pmra_mas_yr (times cos dec) and
    pmdec_mas_yr, epoch, and for each band mag_<band> with its error mag_<band>_err; the
    magnitudes scatter about the truth by their errors.
    """
    rng = stream(params, Stream.CATALOGUE)
    years = params.night.year + params.night.timetuple().tm_yday / 365.25 - CATALOGUE_EPOCH
    joined = {
        name: np.concatenate([getattr(sky, name) for sky in skies])
        for name in ("star_id", "ra_deg", "dec_deg", "pm_ra_mas_yr", "pm_dec_mas_yr")
    }
    shift = years / 3.6e6
    cosine = np.cos(np.radians(joined["dec_deg"]))
    table = {
        "star_id": joined["star_id"],
        "ra_deg": joined["ra_deg"] - shift * joined["pm_ra_mas_yr"] / cosine,
        "dec_deg": joined["dec_deg"] - shift * joined["pm_dec_mas_yr"],
        "pmra_mas_yr": joined["pm_ra_mas_yr"],
        "pmdec_mas_yr": joined["pm_dec_mas_yr"],
        "epoch": np.full(joined["star_id"].size, CATALOGUE_EPOCH),
    }
    for band in params.bands:
        mag = np.concatenate([sky.mag[band.name] for sky in skies])
        error = np.hypot(CATALOGUE_FLOOR_MAG, 0.02 * 10 ** (0.4 * (mag - 20.0)))
        table[f"mag_{band.name}"] = np.round(mag + error * rng.standard_normal(mag.size), 4)
        table[f"mag_{band.name}_err"] = np.round(error, 4)
    return table


def _exposures(
    plan: Sequence[Planned], params: NightParams, detector: Detector, skies: Sequence[StarField]
) -> Iterator[tuple[Planned, SimulatedFrame]]:
    """Expose in two threads, each frame from its own random numbers, in the order planned."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        for start in range(0, len(plan), 4):  # few at a time: memory stays small
            part = plan[start : start + 4]
            numbers = range(start, start + len(part))
            yield from zip(
                part,
                pool.map(
                    lambda p, i: expose(p, i, params=params, detector=detector, skies=skies),
                    part,
                    numbers,
                ),
                strict=True,
            )


def _science_light(
    planned: Planned, params: NightParams, detector: Detector, skies: Sequence[StarField]
) -> tuple[float, Sources, Plane]:
    if not (planned.field and planned.wcs and planned.psf and planned.airmass):
        raise ValueError(f"{planned.file} is a science exposure that points nowhere")
    band = params.band(planned.band)
    stars = next(sky for sky in skies if sky.field == planned.field.name)
    sky_e = sky_electrons(params, band, planned.exptime_s, planned.airmass)
    x, y = planned.wcs.to_pixels(stars.ra_deg, stars.dec_deg)
    electrons = electrons_of(stars, band, planned.exptime_s, planned.airmass)
    light = draw_stars(params.shape, x, y, electrons, planned.psf)
    light += sky_e * (1.0 + band.fringe * detector.fringe)
    ny, nx = params.shape
    near = (x > -AROUND_PIX) & (x < nx + AROUND_PIX) & (y > -AROUND_PIX) & (y < ny + AROUND_PIX)
    peak_e = electrons * planned.psf.density(np.zeros(1))
    seen = Sources(
        star_id=stars.star_id[near],
        x=x[near],
        y=y[near],
        electrons=electrons[near],
        peak_e=peak_e[near],
    )
    return sky_e, seen, light


def _twilight_stars(planned: Planned, params: NightParams, rng: np.random.Generator) -> Plane:
    """Return the stars in a sky flat; the sky turns fast enough that none comes twice."""
    if planned.psf is None:
        raise ValueError(f"{planned.file} is a sky flat without a seeing")
    ny, nx = params.shape
    x, y = rng.uniform(0, nx, params.n_stars), rng.uniform(0, ny, params.n_stars)
    band = params.band(planned.band)
    dimmed = draw_magnitudes(params.n_stars, rng) - band.zero_point
    return draw_stars(params.shape, x, y, planned.exptime_s * 10 ** (-0.4 * dimmed), planned.psf)


def _fits_bytes(raw: RawImage, header: fits.Header) -> bytes:
    stream = io.BytesIO()
    fits.PrimaryHDU(raw, header).writeto(stream)
    return stream.getvalue()


def _store(path: Path, content: bytes, fault: str, truth_folder: Path) -> None:
    """Write a file whole, or as much of it as its fault leaves."""
    if fault == "growing":
        cut = int(KEPT_OF_GROWING * len(content)) | 1  # never a whole block
        (truth_folder / REST_FILE).write_bytes(content[cut:])
        path.write_bytes(content[:cut])
        return
    if fault == "truncated":
        content = content[: int(KEPT_OF_TRUNCATED * len(content)) | 1]
    part = path.with_suffix(".part")  # no scan may take a half-written file for a settled one
    part.write_bytes(content)
    written_s = time.time() - SETTLED_AGE_S
    os.utime(part, (written_s, written_s))
    part.replace(path)


def _frame_truth(file: str, planned: Planned, sky_e: float) -> FrameTruth:
    known = FrameTruth(
        file=file,
        kind=planned.kind,
        band=planned.band,
        field=planned.field.name if planned.field else "",
        proposal=planned.field.proposal if planned.field else "",
        fault=planned.fault,
        start_utc=planned.start_utc.isoformat(),
        exptime_s=planned.exptime_s,
        airmass=planned.airmass or np.nan,
        sky_e=sky_e,
        fwhm_pix=planned.psf.fwhm_pix if planned.psf else np.nan,
        moffat_beta=planned.psf.beta if planned.psf else np.nan,
    )
    return known.placed(planned.wcs) if planned.wcs else known


def _star_table(skies: Sequence[StarField], params: NightParams) -> Table:
    columns: dict[str, np.ndarray] = {
        "star_id": np.concatenate([sky.star_id for sky in skies]),
        "field": np.repeat([sky.field for sky in skies], [sky.star_id.size for sky in skies]),
        "ra_deg": np.concatenate([sky.ra_deg for sky in skies]),
        "dec_deg": np.concatenate([sky.dec_deg for sky in skies]),
    }
    for band in params.bands:
        columns[f"mag_{band.name}"] = np.concatenate([sky.mag[band.name] for sky in skies])
    return columns


def _proposal_table(params: NightParams) -> Table:
    names = ("code", "title", "pi")
    return {name: np.array([getattr(p, name) for p in params.proposals]) for name in names}
