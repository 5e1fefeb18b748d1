"""Configurations as clients send them: defaults, numbers as texts, refusals by name."""

import pytest

from reduction.oneimage.options import (
    AFTER_INSPECT,
    BadOptionError,
    inspect_options,
    is_timed,
    photometry_options,
    stack_options,
)


def test_without_inspect_the_fallbacks_hold() -> None:
    options = photometry_options({})

    assert (options.gain, options.detect.sn, options.detect.selection_sn) == (1.0, 5.0, 3.0)
    assert options.detect.min_pixels == 3
    assert not options.place.refine
    assert options.light.spatial_order == 0
    assert options.light.use_colour
    assert options.cutout_half_pix == 30
    assert options.place.order == 3


def test_what_inspect_sets_is_what_photometry_takes() -> None:
    options = photometry_options(AFTER_INSPECT)

    assert options.detect.min_pixels == 5
    assert options.place.refine
    assert options.light.spatial_order == 2
    assert (options.apertures.rel_aper, options.apertures.rel_bg1, options.apertures.rel_bg2) == (
        1, 5, 7,
    )  # fmt: skip


def test_numbers_and_flags_may_be_texts_and_null_is_absent() -> None:
    options = photometry_options(
        {"sn": "7.5", "refine_wcs": "True", "bg_order": "None", "sr_override": None, "nonlin": 1,
         "fwhm_override": "", "optimal_extraction": "no"}
    )  # fmt: skip

    assert options.detect.sn == 7.5
    assert options.place.refine
    assert options.light.background_order is None
    assert options.light.match_arcsec is None
    assert options.light.has_nonlinearity
    assert options.apertures.fwhm_override_pix is None
    assert not options.apertures.optimal_extraction


@pytest.mark.parametrize(("name", "value", "said"), [
    ("sn", "many", "sn: 'many' cannot be used: it takes a number above 0"),
    ("sn", 0, "above 0"),
    ("sn", True, "a number"),
    ("gain", -1, "gain"),
    ("spatial_order", 99, "of at most 6"),
    ("refine_order", 5, "refine_order: 5 cannot be used: it takes .* of at most 4"),
    ("rel_bg2", 2, "more than rel_bg1, which is 5"),
    ("use_color", "perhaps", "true or false"),
    ("filter", ["R"], "a text"),
    ("blind_match_ps_up", 0.1, "at least blind_match_ps_lo"),
    ("cat_limit", "1e999", "a number"),
])  # fmt: skip
def test_values_that_cannot_be_used_are_refused_by_name(
    name: str, value: object, said: str
) -> None:
    with pytest.raises(BadOptionError, match=said) as refused:
        photometry_options({name: value})

    assert refused.value.name == name


def test_stacks_take_lists_and_lines_of_names() -> None:
    assert stack_options({"stack_filenames": "a.fits\n b.fits \n"}).filenames == (
        "a.fits",
        "b.fits",
    )
    assert stack_options({"stack_filenames": ["a.fits"]}).method == "sum"
    assert stack_options({}).subtract_bg
    for config in ({"stack_method": "average"}, {"stack_filenames": [1]}, {"stack_filenames": 5}):
        with pytest.raises(BadOptionError):
            stack_options(config)


def test_inspection_and_timing_read_theirs() -> None:
    options = inspect_options({"target": "M 31", "mask_cosmics": False, "saturation": "60000"})

    assert (options.target, options.mask_cosmics, options.saturation) == ("M 31", False, 60000.0)
    assert options.cat_limit == 20
    assert is_timed({"timing": True})
    assert not is_timed({})
