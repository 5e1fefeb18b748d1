"""Frames that were reduced before sources were kept are looked at again, and stay as they are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from sqlalchemy import select

from app.db import db, transaction
from app.jobs import skywork, source_index
from app.models import Frame, FrameCell, User
from app.services import cone, refcats, settings, source_files
from reduction import fitsio
from reduction.frameinfo import FrameInfo
from reduction.headers.sky import solved_wcs
from reduction.image import Image
from reduction.onsky import OnSky, put_on_sky
from reduction.reference import AskCatalogue
from tests.app.jobs.blockruns import SCI, done, file_of, product
from tests.app.jobs.skynight import CATALOGUE, PLACE, expose, load_catalogue, stars


@pytest.fixture
def old(app: Flask, staff: User, tmp_path: Path) -> Frame:
    """A frame that was solved by a program that kept no sources."""
    settings.change("scan", "settle_s", 0, by=staff)
    sky = stars()
    load_catalogue(sky, tmp_path)
    expose(sky)
    return product(done(SCI))


def forget(frame: Frame) -> None:
    source_files.path_of(frame).unlink()
    with transaction():
        cone.forget([frame.id])
        frame.on_sky = {name: value for name, value in frame.on_sky.items() if name != "wcs"}


def index(*, again: bool = False) -> list[source_index.Indexed]:
    return list(source_index.index(source_index.waiting(again=again)))


def cells(frame: Frame) -> set[int]:
    return set(db.session.scalars(select(FrameCell.cell).where(FrameCell.frame_id == frame.id)))


def test_what_is_kept_is_what_the_reduction_would_have_kept(old: Frame, observer: User) -> None:
    before, its_cells, its_wcs = source_files.read(old), cells(old), old.on_sky["wcs"]
    forget(old)
    assert cone.frames_covering(observer, *PLACE) == []

    (one,) = index()

    assert (one.n_sources, one.refusal) == (len(before), "")
    now = source_files.read(old)
    assert now.names == before.names
    for name in ("ra_deg", "dec_deg", "mag", "flux", "cat_mag", "cat_ra_deg", "zp_residual_mag"):
        assert np.allclose(now[name], before[name], atol=1e-5, equal_nan=True), name
    for name in ("number", "healpix", "is_zp_star", "flags"):
        assert np.array_equal(now[name], before[name]), name
    assert cells(old) == its_cells
    assert np.allclose(old.on_sky["wcs"]["cd"], its_wcs["cd"], rtol=1e-9)
    assert [frame.id for frame in cone.frames_covering(observer, *PLACE)] == [old.id]


def test_the_place_of_the_header_is_the_one_that_was_kept(old: Frame) -> None:
    _, cards = fitsio.read_product(file_of(old))

    wcs = solved_wcs(cards)

    assert wcs is not None
    kept = old.on_sky["wcs"]
    x, y = np.array([0.0, 200.0, 399.0]), np.array([0.0, 150.0, 299.0])
    there = type(wcs).of_lists(kept).sky(x, y)
    assert np.allclose(wcs.sky(x, y), there, rtol=0, atol=1e-9)


def test_a_place_and_a_zero_point_hold_without_the_catalogue_they_are_from(old: Frame) -> None:
    before = source_files.read(old)
    forget(old)
    refcats.drop(CATALOGUE)

    index()

    now = source_files.read(old)
    assert np.allclose(now["ra_deg"], before["ra_deg"], atol=1e-8)
    assert np.allclose(now["mag"], before["mag"], atol=0.02, equal_nan=True)
    assert np.isnan(now["cat_ra_deg"]).all()


def test_frames_whose_sources_are_kept_are_left_alone_unless_asked_for(old: Frame) -> None:
    written = source_files.path_of(old).stat().st_mtime_ns

    assert index() == []
    assert source_files.path_of(old).stat().st_mtime_ns == written
    assert [one.file_name for one in index(again=True)] == [old.file_name]
    assert source_files.path_of(old).stat().st_mtime_ns > written


def test_a_file_that_is_not_what_the_row_tells_of_is_left_and_named(old: Frame) -> None:
    forget(old)
    with file_of(old).open("ab") as stream:
        stream.write(b"\0" * 2880)

    (one,) = index()

    assert one.n_sources is None
    assert "not what its row tells of" in one.refusal
    assert not source_files.are_kept(old)
    assert cells(old) == set()


def test_a_frame_that_was_made_anew_meanwhile_keeps_what_it_has(
    old: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(old)
    facts_of = skywork.facts_of

    def overtaken(*args: object) -> object:
        with transaction():
            old.content_sha256 = "f" * 64
        return facts_of(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(source_index, "facts_of", overtaken)

    (one,) = index()

    assert one.refusal == "it was made anew meanwhile"
    assert cells(old) == set()


def test_a_file_that_is_gone_is_named_and_the_others_are_looked_at(old: Frame, app: Flask) -> None:
    forget(old)
    file_of(old).unlink()

    (one,) = index()

    assert "No such file" in one.refusal
    answer = app.test_cli_runner().invoke(args=["sources", "index"])
    assert answer.exit_code == 1
    assert "1 frame could not be read" in answer.output


def test_the_command_tells_what_it_did(old: Frame, app: Flask) -> None:
    forget(old)

    answer = app.test_cli_runner().invoke(args=["sources", "index"])

    assert answer.exit_code == 0, answer.output
    assert f"1 of 1: {old.file_name}: " in answer.output
    assert answer.output.endswith("the sources of 1 frame were kept\n")
    assert source_files.are_kept(old)


def test_an_error_that_is_whole_is_not_made_larger(
    old: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction():
        old.zero_point_error_mag = 0.03
    seen: list[float] = []
    facts_of = skywork.facts_of

    def looked_at(found: OnSky, *more: object) -> object:
        assert found.zero_point is not None
        seen.append(found.zero_point.total_error)
        return facts_of(found, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(source_index, "facts_of", looked_at)
    monkeypatch.setattr(source_index, "put_on_sky", _with_systematic)

    index(again=True)

    assert seen == [pytest.approx(0.03)]


def _with_systematic(image: Image, info: FrameInfo, ask: AskCatalogue) -> OnSky:
    found = put_on_sky(image, info, ask)
    assert found.zero_point is not None
    return replace(found, zero_point=replace(found.zero_point, systematic_mag=0.5))
