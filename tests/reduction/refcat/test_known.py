import pytest

from reduction.refcat.known import BHTOM, STDWEB, bhtom_bands


def test_stdwebs_catalogues_are_as_it_answers_them() -> None:
    found = {known.name: (known.title, list(known.filters), known.limit) for known in STDWEB}

    assert list(found) == [
        *("gaiadr3syn", "ps1", "skymapper", "sdss", "atlas", "gaiaedr3", "2mass", "vhs"),
    ]
    assert found["skymapper"] == ("SkyMapper DR4", [*"BVRIgrizy"], "rPSF")
    assert found["gaiadr3syn"] == ("Gaia DR3 synphot", [*"UBVRIugrizy"], "rmag")
    assert found["vhs"] == ("VHS DR5", ["J", "H", "Ks"], "Jap3")
    assert found["atlas"][1] == [*"BVRIgriz"]


@pytest.mark.parametrize(
    ("survey", "band", "bands"),
    [
        ("GaiaSP", "any", ("u", "g", "r", "i", "z", "U", "B", "V", "R", "I")),
        ("GaiaSP", "ugriz", ("u", "g", "r", "i", "z")),
        ("GaiaSP", "UBVRI", ("U", "B", "V", "R", "I")),
        ("GaiaSP", "V", ("V",)),
        ("GaiaDR3", "GBP", ("BP",)),
        ("GaiaDR3", "any", ("G", "BP", "RP")),
        ("2MASS", "K", ("Ks",)),
        ("2MASS", "V", ()),
        ("GaiaSP", "Vx", ()),
        ("GaiaSP", "v", ("V",)),
        ("GaiaDR3", "gbp", ("BP",)),
        ("GaiaDR3", "ANY", ("G", "BP", "RP")),
        ("OGLE3", "I", ()),
    ],
)
def test_bhtoms_names_lead_to_bands_here(survey: str, band: str, bands: tuple[str, ...]) -> None:
    assert bhtom_bands(survey, band) == bands


def test_every_survey_of_bhtom_has_a_catalogue() -> None:
    assert {survey.catalogue for survey in BHTOM.values() if survey.is_active} == {
        "gaiadr3syn",
        "gaiaedr3",
        "2mass",
    }
