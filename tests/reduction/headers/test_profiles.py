"""What a site's configuration settles, and how it is told of its mistakes."""

from pathlib import Path
from typing import Any

import pytest

from reduction.camera import CameraProfile, Observatory
from reduction.fitsio import read_headers
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.headers import profile_from_config, translate
from tests.reduction.headers.site_profiles import site_profiles
from tests.reduction.headers.texts import card, write_image

LIGHT = (card("IMAGETYP", "Light Frame"), card("INSTRUME", "Cam 1"), card("TELESCOP", "T1"))
HERE = Observatory(10.0, 20.0, 30.0, "here")


def translated(
    folder: Path, *cards: str, name: str = "x.fits", site: Observatory | None = None, **table: Any
) -> FrameInfo:
    profile = profile_from_config({"name": "ours", **table})
    path = write_image(folder / name, *cards)
    (info,) = translate(read_headers(path), file_name=name, profiles=[profile], site=site)
    return info


def test_profile_settles_values_and_says_that_it_did(tmp_path: Path) -> None:
    info = translated(tmp_path, *LIGHT, instrument="cam*", settles={"gain_e_per_adu": 2})

    assert info.gain_e_per_adu == 2.0
    assert info.amplifiers[0].gain_e_per_adu == 2.0
    assert info.origins["gain_e_per_adu"].rule == "camera profile ours"


def test_file_name_rule_settles_the_kind_without_a_doubt(tmp_path: Path) -> None:
    rules = [{"pattern": "flat*", "kind": "flat", "band": "V"}, {"pattern": "*", "kind": "dark"}]

    info = translated(tmp_path, *LIGHT, name="FLAT-1.fits", name_rules=rules)

    assert (info.kind, info.band, info.kind_doubt) == (FrameKind.FLAT, "V", None)
    assert "flat*" in info.origins["kind"].rule


def test_profile_of_another_camera_settles_nothing(tmp_path: Path) -> None:
    info = translated(tmp_path, *LIGHT, instrument="Cam 2", settles={"gain_e_per_adu": 2.0})

    assert info.gain_e_per_adu is None


def test_profile_can_speak_of_frames_that_name_no_instrument(tmp_path: Path) -> None:
    info = translated(tmp_path, instrument="unidentified", settles={"band": "R"})

    assert info.band == "R"


def test_profiles_site_overrules_the_header_and_the_configured_site(tmp_path: Path) -> None:
    cards = (card("SITELAT", -30.0), card("SITELONG", -70.0))
    site = {"latitude_deg": 1.0, "longitude_deg": 2.0}

    info = translated(tmp_path, *cards, site=HERE, settles={}, name_rules=[])
    ours = profile_from_config({"name": "ours", "site": site})
    path = write_image(tmp_path / "y.fits", *cards)
    (overruled,) = translate(read_headers(path), file_name="y.fits", profiles=[ours], site=HERE)

    assert (info.latitude_deg, info.longitude_deg) == (-30.0, -70.0)
    assert "from the configured site" in info.doubts["longitude_deg"]
    assert (overruled.latitude_deg, overruled.longitude_deg) == (1.0, 2.0)


def test_configured_site_stands_in_for_a_silent_header(tmp_path: Path) -> None:
    info = translated(tmp_path, card("DATE-OBS", "2024-05-01T11:30:00"), site=HERE)

    assert (info.latitude_deg, info.longitude_deg, info.elevation_m) == (10.0, 20.0, 30.0)
    assert str(info.night) == "2024-05-01"  # 12:50 local, past noon
    assert "night" not in info.doubts


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({}, "no name"),
        ({"name": "a", "instrumnet": "x"}, "no key 'instrumnet'"),
        ({"name": "a", "instrument": 5}, "instrument must be a text"),
        ({"name": "a", "settles": {"gian": 2.0}}, "'gian' cannot be settled"),
        ({"name": "a", "settles": {"gain_e_per_adu": "2"}}, "gain_e_per_adu must be a number"),
        ({"name": "a", "settles": {"gain_e_per_adu": True}}, "gain_e_per_adu must be a number"),
        ({"name": "a", "settles": {"bits": 1.5}}, "bits must be a whole number"),
        ({"name": "a", "settles": {"kind": "flatt"}}, "kind must be one of bias, dark"),
        ({"name": "a", "settles": {"technique": "x"}}, "imaging or spectroscopy"),
        ({"name": "a", "settles": {"done": "flat"}}, "done must be a list"),
        ({"name": "a", "settles": []}, "settles must be a table"),
        ({"name": "a", "name_rules": {}}, "name_rules must be a list"),
        ({"name": "a", "name_rules": [{"kind": "flat"}]}, "a table with a pattern"),
        ({"name": "a", "name_rules": [{"pattern": "x", "band": 5}]}, "rule x: band must be"),
        ({"name": "a", "site": {"latitude_deg": 1.0}}, "site needs longitude_deg"),
        ({"name": "a", "site": {"lat": 1.0}}, "site has no 'lat'"),
        ({"name": "a", "site": 5}, "site must be a table"),
        ({"name": "a", "site": {"latitude_deg": "1", "longitude_deg": 2.0}}, "wrong type"),
    ],
)
def test_mistake_in_the_configuration_is_named(table: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        profile_from_config(table)


def test_profiles_of_the_real_cameras_are_sound() -> None:
    assert all(isinstance(profile, CameraProfile) for profile in site_profiles())
