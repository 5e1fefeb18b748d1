"""What is measured at the targets of a task's image, and the cutouts around them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from app.jobs.task_outputs import put_all, put_fits
from reduction.flags import PixelFlag
from reduction.headers.sky import wcs_cards
from reduction.headers.task_products import cutout_cards
from reduction.oneimage.calibration import Calibration, magnitudes, scaled
from reduction.oneimage.files import Window, cutout_hdus
from reduction.oneimage.forced import forced_limits, light_at, recentred
from reduction.oneimage.objects import Extracted
from reduction.oneimage.place import Placed
from reduction.oneimage.tables import target_columns, votable_bytes

if TYPE_CHECKING:
    from app.jobs.task_photometry import Work

Floats = npt.NDArray[np.float64]
CORE_PIX: Final = 2  # of a star, about its middle


@dataclass(frozen=True, slots=True)
class _Target:
    """A target of the configuration that lies on the image."""

    number: int
    name: str
    ra_deg: float
    dec_deg: float
    x: float
    y: float


def measure_targets(
    work: "Work", found: Extracted, placed: Placed, calibration: Calibration
) -> None:
    """Measure the light at an image's targets and write it, with a cutout around each."""
    targets = _on_image(work, placed)
    if not targets:
        return
    if work.options.apertures.centroid_targets:
        targets = _recentred(work, found, placed, targets)
    x, y = np.array([t.x for t in targets]), np.array([t.y for t in targets])
    light = light_at(found, work.image.mask, x, y)
    at = scaled(x, y, work.picture.shape)
    mags = magnitudes(calibration.zero, light.flux, light.error, at)
    limits = forced_limits(found, calibration.zero, light, at, work.options.detect.sn)
    sky = np.array([t.ra_deg for t in targets]), np.array([t.dec_deg for t in targets])
    columns = target_columns((x, y), sky, light, mags, (limits, calibration))
    put_all(work.folder, {"target.vot": votable_bytes(columns)})
    work.log.say("No templates are kept here: cutouts hold image and mask")
    for i, target in enumerate(targets):
        row = {name: _value(values[i]) for name, values in columns.items()}
        _tell(work, target, row)
        _write_cutout(work, placed, target, row)


def _value(value: Any) -> Any:  # noqa: ANN401 - of whatever type its column has
    return value.item() if isinstance(value, np.generic) else value


def _on_image(work: "Work", placed: Placed) -> list[_Target]:
    ny, nx = work.picture.shape
    targets = []
    for number, record in enumerate(_records(work.config)):
        ra, dec = float(record["ra"]), float(record["dec"])
        x, y = (float(v[0]) for v in placed.wcs.pixel(np.array([ra]), np.array([dec])))
        name = str(record.get("name") or f"{ra} {dec}")
        if np.isfinite(x + y) and -0.5 <= x < nx - 0.5 and -0.5 <= y < ny - 0.5:
            targets.append(_Target(number, name, ra, dec, x, y))
        else:
            work.log.doubt(f"target {name} is not on the image")
    return targets


def _records(config: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    said = config.get("targets")
    if not isinstance(said, list):
        return []
    return [one for one in said if isinstance(one, Mapping) and _is_place(one)]


def _is_place(record: Mapping[str, Any]) -> bool:
    numbers = record.get("ra"), record.get("dec")
    return all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers)


def _recentred(
    work: "Work", found: Extracted, placed: Placed, targets: Sequence[_Target]
) -> list[_Target]:
    x, y = np.array([t.x for t in targets]), np.array([t.y for t in targets])
    new_x, new_y = recentred(found, x, y)
    ra, dec = placed.wcs.sky(new_x, new_y)
    moved = []
    for i, target in enumerate(targets):
        shift = float(np.hypot(new_x[i] - target.x, new_y[i] - target.y))
        work.log.say(f"Target {target.name} centred anew, {shift:.2f} pixels away")
        moved.append(
            replace(target, x=float(new_x[i]), y=float(new_y[i]), ra_deg=float(ra[i]),
                    dec_deg=float(dec[i]))
        )  # fmt: skip
    return moved


def _tell(work: "Work", target: _Target, row: Mapping[str, Any]) -> None:
    signal = row["flux"] / row["fluxerr"] if row["fluxerr"] else 0.0
    limit = row["mag_limit"]
    if np.isfinite(row["mag_calib"]) and signal >= work.options.detect.sn:
        said = f"{row['mag_calib']:.3f} +- {row['mag_calib_err']:.3f}, limit {limit:.2f}"
    else:
        said = f"not seen, S/N {signal:.1f}: fainter than {limit:.2f}"
    work.log.say(f"Target {target.name}: {said}")
    if _is_saturated(work, target):
        work.log.doubt(f"target {target.name} is saturated: it is brighter than that")


def _is_saturated(work: "Work", target: _Target) -> bool:
    core = Window.around(target.x, target.y, CORE_PIX).of(work.image.mask, 0)
    return bool((core & np.uint16(PixelFlag.SATURATED)).any())


def _write_cutout(work: "Work", placed: Placed, target: _Target, row: Mapping[str, Any]) -> None:
    window = Window.around(target.x, target.y, work.options.cutout_half_pix)
    time = work.config.get("time")
    about = cutout_cards(
        target.name,
        (target.ra_deg, target.dec_deg),
        (target.x, target.y),
        {**row, "filter": work.band, "time": time},
    )
    hdus = cutout_hdus(
        window,
        [("IMAGE", work.picture.data), ("MASK", work.image.mask)],
        about,
        wcs_cards(placed.wcs, work.picture.shape),
    )
    put_fits(work.folder / "targets" / f"target_{target.number:04d}.cutout", hdus)
