"""Frames recognised by their quads alone: solved, never wrongly, and soon enough."""

from collections.abc import Sequence

import numpy as np
import pytest

from reduction.astrometry.blind import places
from reduction.astrometry.placing import Elsewhere, Hints, Placed, place
from reduction.astrometry.quads import QuadTables, quads_of
from reduction.astrometry.solution import SkyList, StarList, UnsolvedError
from reduction.refcat.geometry import separations_deg
from reduction.simulate.fields import Field, Recipe, error_pix, make_field

FIELDS = 6
NOTHING = Hints(None, None, None)


def around(catalogue: SkyList, at: tuple[float, float], radius_deg: float) -> Sequence[SkyList]:
    near = separations_deg(catalogue.ra_deg, catalogue.dec_deg, *at) < radius_deg
    return [SkyList(catalogue.ra_deg[near], catalogue.dec_deg[near])] if near.any() else []


def recognised(stars: StarList, catalogue: SkyList, index: QuadTables) -> Placed[SkyList]:
    return place(
        stars,
        NOTHING,
        lambda ra, dec, radius: around(catalogue, (ra, dec), radius),
        Elsewhere(lambda: [index]),
    )


def quads(field: Field) -> QuadTables:
    return quads_of(field.catalogue.ra_deg, field.catalogue.dec_deg)


# Of fifteen stars in the catalogue some are always missing on the frame.
FEW = Recipe(n_stars=15, depth=1.0, pointing_off=2.0, missing=0.1, spurious=0.1)


@pytest.mark.parametrize("recipe", [
    FEW,
    Recipe(n_stars=40, depth=1.2, pointing_off=1.5),
    Recipe(n_stars=200, depth=1.2, pointing_off=0.5, distortion=0.005),
], ids=["15 stars", "40 stars", "200 stars, 0.5 % distorted"])  # fmt: skip
def test_fields_are_recognised_without_pointing_and_scale(
    recipe: Recipe, rng: np.random.Generator
) -> None:
    for _ in range(FIELDS):
        field = make_field(rng, recipe)
        index = quads(field)

        found = recognised(field.stars, field.catalogue, index)

        assert found.found_by == "quads"
        assert error_pix(found.solution.wcs, field.truth, recipe.side) < 4.0


def test_stars_the_catalogue_does_not_know_are_recognised_nowhere(
    rng: np.random.Generator,
) -> None:
    for n_stars in (15, 60, 150):
        field, other = (make_field(rng, Recipe(n_stars=n_stars, depth=1.5)) for _ in range(2))
        index = quads(other)

        with pytest.raises(UnsolvedError) as refused:
            recognised(field.stars, other.catalogue, index)

        assert refused.value.cause == "no_pointing"


def test_a_place_tells_where_the_frame_is_how_it_is_turned_and_its_scale(
    rng: np.random.Generator,
) -> None:
    field = make_field(rng, Recipe(n_stars=60, missing=0, spurious=0, distortion=0))

    first = next(places(field.stars, quads(field)))

    at = first.pointing
    away = separations_deg(np.array([at.ra_deg]), np.array([at.dec_deg]), *field.truth.crval)
    assert at.scale_arcsec == pytest.approx(field.truth.scale_arcsec, rel=0.01)
    assert away[0] * 3600 < 10 * field.truth.scale_arcsec
    assert (first.trial.flip > 0) is field.truth.is_flipped
    turned = np.array([first.trial.a, first.trial.b]) * field.truth.scale_arcsec / 3600
    assert turned == pytest.approx(field.truth.cd[:, 0], abs=0.01 * field.truth.scale_arcsec / 3600)
    assert first.score > 10


def test_an_index_without_quads_leads_nowhere(rng: np.random.Generator) -> None:
    field = make_field(rng, Recipe(n_stars=20))

    assert list(places(field.stars, quads_of(np.array([10.0]), np.array([20.0])))) == []
