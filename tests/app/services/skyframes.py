"""Rows of reduced frames that were put on the sky, as a night of a good site has them."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from app.models import Frame, Level
from tests.factories import make_frame
from tests.numbering import number

NIGHT: Final = date(2026, 11, 20)


def make_sky_frame(night: date | None = NIGHT, **values: Any) -> Frame:
    """Return a solved frame with a zero point; `trail` stands for what its stars are drawn by."""
    n = number("sky frame")
    start = datetime.combine(night or NIGHT, datetime.min.time(), UTC) + timedelta(
        hours=22, minutes=n
    )
    details = {"trail_pix": values.pop("trail", 0.5), "trail_alignment": 0.95}
    good: dict[str, Any] = {
        "level": Level.REDUCED,
        "path": f"PROCESSED/r/{night}/{n}.fits",
        "file_name": f"{n}.fits",
        "night": night,
        "start_utc": start,
        "mid_utc": start,
        "exptime_s": 100.0,
        "airmass": 1.0,
        "unit": "electron",
        "gain_e_per_adu": 2.0,
        "saturation_adu": 60_000.0,
        "sky_state": "solved",
        "scale_arcsec": 0.5,
        "wcs_rms_arcsec": 0.05,
        "n_sources": 300,
        "fwhm_pix": 3.0,
        "ellipticity": 0.05,
        "sky_level": 200.0,
        "sky_noise": 15.0,
        "zero_point_mag": 24.0,
        "zero_point_error_mag": 0.01,
        "limit_mag": 21.0,
        "on_sky": details,
    }
    return make_frame("science", **(good | values))


def make_night(n: int = 8, night: date | None = NIGHT, **values: Any) -> list[Frame]:
    """Return the frames of a good night."""
    return [make_sky_frame(night, **values) for _ in range(n)]
