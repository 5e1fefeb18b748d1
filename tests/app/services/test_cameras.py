from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import func, select

from app.db import db, transaction
from app.errors import UnavailableError
from app.models import Camera, User
from app.services import cameras, settings
from app.services.cameras import CameraBook, camera_of
from reduction.frameinfo import FrameInfo, FrameKind
from tests.factories import make_camera

INFO = FrameInfo(
    writer="test", kind=FrameKind.BIAS, nx=100, ny=80, instrument="ZWO", telescope="North"
)


def n_cameras() -> int:
    return db.session.scalar(select(func.count()).select_from(Camera)) or 0


def test_same_instrument_geometry_and_telescope_are_one_camera(app: Flask) -> None:
    first = camera_of(INFO)

    assert camera_of(replace(INFO, instrument=" zwo ", telescope="NORTH")) is first
    assert (first.name, first.instrument, first.telescope) == ("ZWO 100x80", "ZWO", "North")


@pytest.mark.parametrize(
    "other",
    [
        {"instrument": "QHY"},
        {"telescope": "South"},
        {"nx": 101},
        {"ny": 81},
        {"binning_x": 2},
        {"binning_y": 2},
        {"instrument": ""},
    ],
)
def test_any_difference_makes_another_camera(app: Flask, other: dict[str, object]) -> None:
    first = camera_of(INFO)

    assert camera_of(replace(INFO, **other)).id != first.id  # type: ignore[arg-type]


def test_blank_telescope_matches_any(app: Flask) -> None:
    named = camera_of(INFO)

    assert camera_of(replace(INFO, telescope="")).id == named.id


def test_camera_takes_its_first_telescope_so_that_a_second_is_another(app: Flask) -> None:
    blank = camera_of(replace(INFO, telescope=""))

    north, south = camera_of(INFO), camera_of(replace(INFO, telescope="South"))

    assert north.id == blank.id
    assert north.telescope == "North"
    assert south.id != north.id
    assert camera_of(replace(INFO, telescope="")).id == north.id


def test_frames_without_an_instrument_are_an_unidentified_camera(app: Flask) -> None:
    bare = camera_of(replace(INFO, instrument="", telescope=""))

    assert camera_of(replace(INFO, instrument="unidentified", telescope="")).id == bare.id
    assert (bare.name, bare.instrument) == ("unidentified 100x80", "")


def test_book_asks_the_database_once_for_each_camera(app: Flask) -> None:
    book = CameraBook()

    ids = {book.id_of(replace(INFO, ra_deg=float(i))) for i in range(5)}

    assert len(ids) == 1
    assert n_cameras() == 1


def test_binning_is_part_of_the_name(app: Flask) -> None:
    assert camera_of(replace(INFO, binning_x=2, binning_y=2)).name == "ZWO 100x80 2x2"


def test_a_cameras_own_profile_comes_before_the_configured_ones(app: Flask) -> None:
    make_camera("Odd [1]", profile={"settles": {"gain_e_per_adu": 2.0}})
    make_camera("Plain")
    app.extensions["coelostat.config"] = replace(
        app.extensions["coelostat.config"], cameras=({"name": "all", "settles": {"band": "r"}},)
    )

    own, configured = cameras.profiles()

    assert own.matches("Odd [1]", "any telescope")
    assert not own.matches("Odd 1", "")
    assert own.settles == {"gain_e_per_adu": 2.0}
    assert configured.name == "all"


@pytest.mark.parametrize("table", [{"instrument": "x"}, {"name": "a", "settles": {"x": 1}}, "text"])
def test_profile_that_is_not_understood_says_so(app: Flask, table: object) -> None:
    app.extensions["coelostat.config"] = replace(
        app.extensions["coelostat.config"], cameras=(table,)
    )

    with pytest.raises(UnavailableError, match="camera"):
        cameras.profiles()


def test_site_is_unknown_until_it_is_set(app: Flask, staff: User) -> None:
    assert cameras.site() is None

    settings.change("site", "latitude_deg", -29.25, by=staff)
    settings.change("site", "longitude_deg", -70.74, by=staff)
    site = cameras.site()

    assert site is not None
    assert (site.latitude_deg, site.longitude_deg) == (-29.25, -70.74)


def test_first_frame_of_a_camera_gets_its_number_within_a_larger_transaction(app: Flask) -> None:
    with transaction():
        assert camera_of(INFO).id
