"""Cropping, destriping and mending headers of single images."""

import numpy as np
import pytest

from reduction.cards import ProductCard
from reduction.oneimage.repair import BadCropError, crop, cropped_header, destripe, fixed_header


@pytest.mark.parametrize(("limits", "rows", "columns"), [
    ((None, None, None, None), (0, 40), (0, 60)),
    ((5, 10, 50, 30), (10, 30), (5, 50)),
    ((-30, -20, -10, -5), (20, 35), (30, 50)),
    ((0, 0, 999, 999), (0, 40), (0, 60)),
])  # fmt: skip
def test_crops_count_from_both_edges(
    limits: tuple[int | None, ...], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    plane = np.arange(40 * 60, dtype=np.float32).reshape(40, 60)

    found = crop([plane, plane > 5], *limits)

    assert np.array_equal(found.planes[0], plane[slice(*rows), slice(*columns)])
    assert found.planes[1].shape == found.planes[0].shape
    assert (found.x0, found.y0) == (columns[0], rows[0])
    assert not np.shares_memory(found.planes[0], plane)


def test_crops_that_leave_nothing_are_refused() -> None:
    with pytest.raises(BadCropError, match="0 of 60 columns would be left"):
        crop([np.zeros((40, 60))], 50, None, 20, None)


@pytest.mark.parametrize("direction", ["horizontal", "vertical", "both"])
def test_stripes_go_and_stars_and_sky_stay(rng: np.random.Generator, direction: str) -> None:
    data = rng.normal(500, 3, (120, 130)).astype(np.float32)
    rows, columns = rng.normal(0, 20, (120, 1)), rng.normal(0, 20, (1, 130))
    striped = (
        data
        + (rows if direction != "vertical" else 0)
        + (columns if direction != "horizontal" else 0)
    )
    striped[60, 60] += 1e5
    striped[5, 5] = np.nan

    found = destripe(striped, direction)  # type: ignore[arg-type]

    good = np.isfinite(found)
    good[60, 60] = False
    assert found[good].std() < 3.5
    assert float(np.median(found[good])) == pytest.approx(500, abs=6)
    assert found[60, 60] > 9e4
    assert np.isnan(found[5, 5])


SIP: list[ProductCard] = [
    ("CTYPE1", "RA---TAN", ""),
    ("CTYPE2", "DEC--TAN", ""),
    ("CRPIX1", 100.0, ""),
    ("CRPIX2", 50.0, ""),
    ("CD1_1", 1e-4, ""),
    ("A_ORDER", 2, ""),
    ("B_ORDER", 2, ""),
]


def values(cards: list[ProductCard]) -> dict[str, object]:
    return {keyword: value for keyword, value, _ in cards}


def test_projections_are_named_for_the_terms_they_have() -> None:
    assert values(fixed_header(SIP))["CTYPE1"] == "RA---TAN-SIP"
    bare = [(k, v, c) for k, v, c in SIP if not k.endswith("ORDER")]
    claims = [(k, f"{v}-SIP" if k.startswith("CTYPE") else v, c) for k, v, c in bare]
    assert values(fixed_header(claims))["CTYPE2"] == "DEC--TAN"
    tpv: list[ProductCard] = [*bare, ("PV1_1", 1.0, ""), ("PV1_5", 0.1, ""), ("PV2_1", 1.0, "")]
    assert values(fixed_header(tpv))["CTYPE1"] == "RA---TPV"


def test_what_is_no_place_on_the_sky_goes_and_dates_get_their_time() -> None:
    cards: list[ProductCard] = [
        ("CTYPE1", "PIXEL", ""), ("CTYPE2", "PIXEL", ""), ("CRVAL1", 1.0, ""), ("CD1_1", 1.0, ""),
        ("DATE-OBS", "2013-06-27", ""), ("UT", "02:33:44.5", ""), ("OBJECT", "KB13475", ""),
    ]  # fmt: skip

    found = values(fixed_header(cards))

    assert found == {
        "DATE-OBS": "2013-06-27T02:33:44.5", "UT": "02:33:44.5", "OBJECT": "KB13475",
    }  # fmt: skip


def test_right_headers_stay_as_they_are() -> None:
    right = [(k, "RA---TAN-SIP" if k == "CTYPE1" else "DEC--TAN-SIP" if k == "CTYPE2" else v, c)
             for k, v, c in SIP]  # fmt: skip

    assert fixed_header(right) == right


def test_the_reference_pixel_moves_with_what_is_cut_off() -> None:
    cards: list[ProductCard] = [*SIP, ("TRIMSEC", "[1:200,1:100]", ""), ("IMAGEW", 200, "")]

    found = values(cropped_header(cards, 30, 20, (60, 70)))

    assert (found["CRPIX1"], found["CRPIX2"]) == (70.0, 30.0)
    assert "TRIMSEC" not in found
    assert found["IMAGEW"] == 70
