from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.models import Frame
from app.services import missed_stars, refcats
from tests.app.services.solvedframes import make_solved
from tests.reduction.photometry.sourcefiles import SHAPE, frame_at

pytestmark = pytest.mark.usefixtures("app")

PLACE = (35.6, -22.4)
WCS = frame_at(PLACE)
NOWHERE = np.empty(0)


def load_catalogue(
    folder: Path, stars: list[tuple[float, float, float]], name: str = "demo"
) -> None:
    """Load stars at some pixels of the frame, with their magnitudes in r."""
    x, y, mag = np.array(stars).T
    ra, dec = WCS.sky(x, y)
    rows = [f"{a:.8f},{d:.8f},{m:.4f},0.005" for a, d, m in zip(ra, dec, mag, strict=True)]
    path = folder / f"{name}.csv"
    path.write_text("\n".join(["ra,dec,r,r_err", *rows]) + "\n")
    columns = "ra=ra,dec=dec,r=r,r_err=r_err"
    covers = (f"{PLACE[0]},{PLACE[1]},1.5",)
    refcats.load_files(refcats.Request(name, [path], columns=columns, system="SDSS", covers=covers))


def solved(**values: Any) -> Frame:
    known: dict[str, Any] = {
        "ra_deg": PLACE[0],
        "dec_deg": PLACE[1],
        "scale_arcsec": WCS.scale_arcsec,
        "fwhm_pix": 3.0,
        "limit_mag": 18.0,
        "on_sky": {"wcs": WCS.as_lists(), "catalogue": "demo", "zero_point_catalogue": "demo"},
    }
    return make_solved(WCS, None, **(known | values))


def test_star_with_a_source_at_it_was_not_missed(tmp_path: Path) -> None:
    load_catalogue(tmp_path, [(50, 60, 14), (150, 160, 15), (250, 260, 13)])

    found = missed_stars.of(solved(), np.array([51.0, 250.0]), np.array([61.0, 264.0]))

    assert (found.catalogue, found.band) == ("demo", "r")
    assert found.x == pytest.approx(
        [250, 150], abs=0.01
    )  # the brightest first; 4 pixels off is off
    assert found.y == pytest.approx([260, 160], abs=0.01)
    assert found.mag == pytest.approx([13, 15])


def test_star_that_may_be_too_faint_was_not_missed(tmp_path: Path) -> None:
    load_catalogue(tmp_path, [(50, 60, 17.4), (150, 160, 17.6)])

    assert missed_stars.of(solved(), NOWHERE, NOWHERE).mag == pytest.approx([17.4])
    assert len(missed_stars.of(solved(limit_mag=None), NOWHERE, NOWHERE).mag) == 2


def test_star_beside_the_frame_was_not_missed(tmp_path: Path) -> None:
    ny, nx = SHAPE
    load_catalogue(tmp_path, [(-3, 60, 14), (nx + 3, 60, 14), (60, -3, 14), (60, ny - 1, 15)])

    assert missed_stars.of(solved(), NOWHERE, NOWHERE).mag == pytest.approx([15])


def test_of_several_catalogues_it_is_the_one_of_the_zero_point(tmp_path: Path) -> None:
    load_catalogue(tmp_path, [(50, 60, 14)], name="other")
    load_catalogue(tmp_path, [(70, 80, 15)], name="demo")

    assert missed_stars.of(solved(), NOWHERE, NOWHERE).x == pytest.approx([70], abs=0.01)


def test_frame_whose_catalogue_was_dropped_has_missed_nothing() -> None:
    found = missed_stars.of(solved(), NOWHERE, NOWHERE)

    assert (found.catalogue, len(found.x)) == (None, 0)


def test_frame_whose_place_is_not_known_has_missed_nothing(tmp_path: Path) -> None:
    load_catalogue(tmp_path, [(50, 60, 14)])

    for frame in (solved(on_sky={}), solved(scale_arcsec=None), solved(ra_deg=None)):
        assert len(missed_stars.of(frame, NOWHERE, NOWHERE).x) == 0


def test_not_more_than_can_be_drawn_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missed_stars, "MOST", 3)
    load_catalogue(tmp_path, [(20.0 * k, 30.0, 15 - 0.1 * k) for k in range(1, 9)])

    assert missed_stars.of(solved(), NOWHERE, NOWHERE).mag == pytest.approx([14.2, 14.3, 14.4])
