"""Places that are found elsewhere than they were looked for say so."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from reduction.astrometry.placing import Elsewhere
from reduction.astrometry.quads import quads_of
from reduction.oneimage.options import photometry_options
from reduction.oneimage.picture import with_noise
from reduction.oneimage.place import Seen, place
from reduction.photometry.detection import DetectionParams, detect
from reduction.refcat.geometry import separations_deg
from reduction.reference import Reference
from tests.reduction.oneimage.skies import (
    INFO,
    SHAPE,
    WCS,
    Field,
    light_of,
    make_field,
    make_picture,
)


@pytest.fixture
def field(rng: np.random.Generator) -> Field:
    return make_field(rng, 120)


def seen_of(field: Field, rng: np.random.Generator, centre: tuple[float, float]) -> Seen:
    picture = make_picture(rng, light_of(field), wcs=None)
    image = with_noise(picture, picture.mask, gain=1.0, mesh_pix=100)
    return Seen(detect(image, DetectionParams(mesh_pix=100)), SHAPE, INFO, None, centre)


@pytest.mark.parametrize(("centre", "config", "said"), [
    ((150.0, 20.0), {}, ""),
    ((150.0, 20.0), {"blind_match_ps_up": 0.4}, "its pixel scale is outside of blind_match_ps_lo"),
    ((10.0, -60.0), {}, "its place is outside of blind_match_sr0 around blind_match_center"),
])  # fmt: skip
def test_a_place_beyond_what_was_asked_for_is_taken_and_said(
    field: Field, rng: np.random.Generator, centre: tuple[float, float],
    config: dict[str, Any], said: str,
) -> None:  # fmt: skip
    ra, dec = WCS.sky(field.x, field.y)
    unknown = np.full(len(ra), np.nan)
    known = Reference("mine", "r", ra, dec, field.mag, unknown, None, "")

    def ask(ra_deg: float, dec_deg: float, radius_deg: float) -> Sequence[Reference]:
        near = separations_deg(ra, dec, ra_deg, dec_deg).min() < radius_deg
        return [known] if near else []

    options = photometry_options({"blind_match_wcs": True, "blind_match_sr0": 0.5, **config})
    elsewhere = Elsewhere(lambda: [quads_of(ra, dec)])

    found = place(seen_of(field, rng, centre), ask, options.place, elsewhere)

    assert found.wcs.scale_arcsec == pytest.approx(WCS.scale_arcsec, rel=5e-3)
    assert said in found.how
    assert ("outside" in found.how) == bool(said)
