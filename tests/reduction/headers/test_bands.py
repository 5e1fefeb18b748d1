"""Band names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduction.headers.bands import canonical_band


@pytest.mark.parametrize(
    ("band", "spellings"),
    [
        (
            "r",
            [
                "r",
                "sdssr",
                "SDSS-r",
                "SDSS-r'",
                "Sloan-r",
                "sloanr",
                "Sloan r",
                "r'",
                "rp",
                "ZTF_r",
            ],
        ),
        ("g", ["g", "g_band", "g-SDSS", "SDSS_g", "gp", "Filter_g"]),
        ("z", ["z", "zs", "z DECam SDSS c0004 9260.0 1520.0"]),
        ("R", ["R", "Rc", "JohnsonR", "Cousins R", "Bessell-R", "Bessel R", "Filter_R"]),
        ("I", ["I", "Ic", "I'", "I Bessell"]),
        ("V", ["V", "JohnsonV", "Johnson-V", "V Johnson"]),
        ("B", ["B", "JohnsonB"]),
        ("F378", ["F378", "J0378", "f378"]),
        ("L", ["L", "Lum", "Luminance", " Filter_L "]),
        ("Ha", ["Ha", "H-alpha"]),
        ("Clear", ["Clear", "CLEAR", "open2-8", "<NO FILTER>", "NO_FILTER", "air", "Open"]),
        ("SII", ["SII"]),
        ("HaOIII", ["HaOIII"]),
        ("Visible", ["Visible"]),
    ],
)
def test_spellings_of_one_band_are_one(band: str, spellings: list[str]) -> None:
    assert {canonical_band(spelling) for spelling in spellings} == {band}


@given(st.text(max_size=80))
def test_any_text_has_a_short_name_that_stays(text: str) -> None:
    band = canonical_band(text)

    assert len(band) <= 32
    assert canonical_band(band) == canonical_band(canonical_band(band))
