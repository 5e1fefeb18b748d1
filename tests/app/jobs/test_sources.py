"""The sources of a reduced frame live and die with it, whatever happens in between."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from sqlalchemy import select

from app import paths
from app.db import db, transaction
from app.errors import NotFoundError
from app.jobs import storing
from app.models import Block, Frame, FrameCell, Job, JobState, User
from app.services import cone, deletion, leftovers, products, refcats, settings, source_files
from reduction import fitsio
from reduction.astrometry.footprint import cells_of
from reduction.photometry.kinds import SourceKind
from reduction.photometry.sourcetable import NO_CELL, SourceTable
from reduction.wholefiles import Staged, put_all
from tests.app.jobs.blockruns import SCI, done, file_of, make, product, run
from tests.app.jobs.skynight import (
    CATALOGUE,
    EXPTIME_S,
    PLACE,
    SHAPE,
    TRUTH,
    ZERO_POINT_MAG,
    expose,
    load_catalogue,
    stars,
)


class PowerCutError(BaseException):
    """The machine stops here."""


@pytest.fixture(autouse=True)
def night(app: Flask, staff: User, tmp_path: Path) -> None:
    """A night with one frame of stars that the catalogue knows; no calibrations."""
    settings.change("scan", "settle_s", 0, by=staff)
    sky = stars()
    load_catalogue(sky, tmp_path)
    expose(sky)


def table_files() -> list[str]:
    """Every file of sources, half written ones too."""
    folder = paths.current().data / "PROCESSED"
    return sorted(path.name for path in folder.rglob("*sources.parquet*"))


def cells(frame: Frame) -> set[int]:
    query = select(FrameCell.cell).where(FrameCell.frame_id == frame.id)
    return set(db.session.scalars(query))


def shift(folder: Path) -> None:
    """Have the catalogue say that all stars are fainter: what rests on it is made again."""
    load_catalogue(stars(), folder, fainter_mag=0.5)


def again(block: Block) -> None:
    """Have a block reduced once more."""
    job = run(block)
    assert job.state == JobState.DONE, job.error
    assert job.result["reduced"] == 1


def age() -> None:
    """Let every file look as if it had been there for days, and the next look be due."""
    for path in (paths.current().data / "PROCESSED").rglob("*"):
        os.utime(path, (1e9, 1e9))
    (paths.current().run / "parts-swept").unlink(missing_ok=True)


def test_a_solved_frame_has_its_sources_beside_it(observer: User) -> None:
    frame = product(done(SCI))

    table = source_files.read(frame)

    assert frame.sky_state == "solved"
    assert len(table) == frame.n_sources
    assert source_files.path_of(frame).parent == file_of(frame).parent
    assert table_files() == [source_files.path_of(frame).name]
    assert (np.diff(table["healpix"]) >= 0).all()
    assert sorted(table["number"]) == list(range(len(table)))


def test_places_magnitudes_and_matches_are_those_of_the_stars() -> None:
    sky = stars()
    table = source_files.read(product(done(SCI)))

    known = np.isfinite(table["cat_ra_deg"])
    assert np.count_nonzero(known) > 40
    away = 3600 * np.hypot(
        (table["ra_deg"] - table["cat_ra_deg"])[known] * np.cos(np.radians(PLACE[1])),
        (table["dec_deg"] - table["cat_dec_deg"])[known],
    )
    assert np.median(away) < 0.15
    used = table["is_zp_star"]
    assert np.count_nonzero(used) > 15
    difference = (table["mag"] - table["cat_mag"])[used]
    assert abs(np.median(difference)) < 0.01
    assert np.allclose(table["zp_residual_mag"][used], -difference, atol=2e-4)
    assert np.isnan(table["zp_residual_mag"][~known]).all()
    truth = ZERO_POINT_MAG - 2.5 * np.log10(sky.flux / EXPTIME_S)
    assert np.abs(table["cat_mag"][known][:, None] - truth).min(axis=1).max() < 1e-3
    assert table["is_wcs_star"].sum() > 15
    assert table.facts.zero_point_mag is not None
    assert table.facts.band == table.facts.light_band == "r"


def test_stars_are_measured_by_their_profile_too_unless_nobody_wants_it(staff: User) -> None:
    block = done(SCI)
    table = source_files.read(product(block))
    good = table["is_clean"] & (table["snr"] > 50)

    settings.change("photometry", "psf", False, by=staff)
    again(block)
    without = source_files.read(product(block))

    assert np.count_nonzero(good) > 20
    pulls = (table["mag_psf"] - table["mag"])[good] / table["mag_error"][good]
    assert np.median(np.abs(pulls)) < 1
    assert np.median(table["kind"][good]) == SourceKind.STAR
    assert np.median(table["share_psf"][good]) > 0.9
    assert np.isnan(without["mag_psf"]).all()
    assert np.array_equal(without["mag"], table["mag"])
    assert np.array_equal(without["kind"], table["kind"])


def test_the_cells_of_a_solved_frame_are_those_it_reaches_into() -> None:
    frame = product(done(SCI))

    assert cells(frame) == set(cells_of(TRUTH, SHAPE).tolist())


def test_a_solved_frame_is_found_by_its_place(observer: User) -> None:
    frame = product(done(SCI))
    table = source_files.read(frame)
    row = int(np.argmax(table["flux"]))

    found = cone.sources_near(observer, table["ra_deg"][row], table["dec_deg"][row], 1.0)

    assert [one.id for one in found.looked] == [frame.id]
    assert found.columns["number"].tolist() == [table["number"][row]]
    assert [f.id for f in cone.frames_covering(observer, *PLACE)] == [frame.id]


def test_a_frame_reduced_again_has_its_new_sources_and_no_others(
    observer: User, tmp_path: Path
) -> None:
    block = done(SCI)
    names, before = table_files(), source_files.read(product(block))
    shift(tmp_path)

    again(block)

    frame = product(block)
    now = source_files.read(frame)
    assert table_files() == [source_files.path_of(frame).name] != names
    assert np.allclose(now["mag"] - before["mag"], 0.5, atol=1e-3)
    assert len(now) == frame.n_sources
    assert len(cone.sources_near(observer, *PLACE, 600.0).looked) == 1


def test_a_frame_that_is_not_solved_any_more_is_in_no_cell(observer: User) -> None:
    block = done(SCI)
    refcats.drop(CATALOGUE)

    again(block)

    frame = product(block)
    assert frame.sky_state == "unsolved"
    assert cells(frame) == set()
    assert cone.frames_covering(observer, *PLACE) == []
    table = source_files.read(frame)
    assert len(table) == frame.n_sources
    assert (table["healpix"] == NO_CELL).all()
    assert np.isnan(table["ra_deg"]).all()
    assert np.array_equal(table["number"], np.arange(len(table)))


def test_a_frame_reduced_again_without_its_place_keeps_no_sources(observer: User) -> None:
    block = done(SCI)
    with transaction():
        product(block).fingerprint = ""

    run(block, "ov")

    frame = product(block)
    assert table_files() == []
    assert cells(frame) == set()
    assert len(cone.sources_near(observer, *PLACE, 600.0)) == 0
    with pytest.raises(NotFoundError, match="no sources are kept of .* process its block with all"):
        source_files.read(frame)


def test_a_frame_whose_sources_were_lost_is_reduced_again() -> None:
    block = done(SCI)
    assert run(block).result["unchanged"] == 1
    source_files.path_of(product(block)).unlink()

    job = run(block)

    assert job.result["reduced"] == 1
    assert source_files.are_kept(product(block))


def test_a_deleted_frame_leaves_no_source_and_no_cell(staff: User) -> None:
    frame = product(done(SCI))
    frame_id = frame.id

    deletion.delete(staff, [frame_id])

    assert table_files() == []
    assert db.session.scalars(select(FrameCell)).all() == []
    assert cone.frames_covering(staff, *PLACE) == []
    assert len(cone.sources_near(staff, *PLACE, 600.0).looked) == 0


def test_a_power_cut_while_a_frame_is_deleted_leaves_its_sources_to_be_swept(
    staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame_id = product(done(SCI)).id
    with monkeypatch.context() as patched, pytest.raises(PowerCutError):
        patched.setattr(deletion, "_remove", cut)
        deletion.delete(staff, [frame_id])
    assert len(table_files()) == 1
    for stone in (paths.current().data / ".deleted").iterdir():
        os.utime(stone, (1e9, 1e9))

    deletion.sweep()

    assert table_files() == []


def cut(*_: object, **__: object) -> None:
    raise PowerCutError


def named_and_cut(files: Sequence[Staged]) -> None:
    put_all(files)
    raise PowerCutError


def cut_at(
    monkeypatch: pytest.MonkeyPatch,
    block: Block,
    where: Any,
    name: str,
    how: Callable[..., None] = cut,
) -> None:
    """Process a block on a machine that stops when it comes to a function, tidying nothing."""
    with monkeypatch.context() as patched, pytest.raises(PowerCutError):
        patched.setattr(where, name, how)
        patched.setattr(Path, "unlink", lambda *_, **__: None)
        run(block)
    db.session.rollback()


@pytest.mark.parametrize(
    ("where", "name"),
    [(storing, "put_all"), (cone, "place"), (products, "store_reduced")],
    ids=["before it has its name", "after the row was made", "before the row was made"],
)
def test_a_kill_between_writing_and_committing_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, staff: User, where: Any, name: str
) -> None:
    block = make(SCI)
    cut_at(monkeypatch, block, where, name)
    assert len(table_files()) == 1  # of nobody

    assert db.session.scalars(select(FrameCell)).all() == []
    assert cone.frames_covering(staff, *PLACE) == []
    leftovers.sweep()
    assert len(table_files()) == 1  # perhaps still at work
    age()
    leftovers.sweep()
    assert table_files() == []


@pytest.mark.parametrize(
    ("where", "name", "how"),
    [(cone, "place", cut), (cone, "forget", cut), (storing, "put_all", named_and_cut)],
    ids=["place", "forget", "named"],
)
def test_a_kill_while_a_frame_is_made_again_leaves_what_was_and_the_next_run_tidies_up(
    monkeypatch: pytest.MonkeyPatch,
    observer: User,
    tmp_path: Path,
    where: Any,
    name: str,
    how: Callable[..., None],
) -> None:
    block = done(SCI)
    frame = product(block)
    before, old_cells = source_files.read(frame), cells(frame)
    shift(tmp_path)

    cut_at(monkeypatch, block, where, name, how)

    assert len(table_files()) == 2
    assert same(source_files.read(product(block)), before)
    assert cells(product(block)) == old_cells
    found = cone.sources_near(observer, *PLACE, 600.0)
    assert len(found) == len(before)

    free_blocks()
    again(block)
    age()
    leftovers.sweep()
    assert table_files() == [source_files.path_of(product(block)).name]
    assert fitsio.content_sha256(file_of(product(block))) == product(block).content_sha256


def free_blocks() -> None:
    """Let the jobs of a machine that stopped be over, as the reconciler would find them."""
    with transaction():
        for job in db.session.scalars(select(Job)):
            job.state = JobState.FAILED


def same(one: SourceTable, other: SourceTable) -> bool:
    return one.names == other.names and all(
        np.array_equal(one[n], other[n], equal_nan=one[n].dtype.kind == "f") for n in one.names
    )


def test_an_old_file_of_sources_that_a_row_names_is_not_swept() -> None:
    frame = product(done(SCI))
    age()

    leftovers.sweep()

    assert source_files.are_kept(frame)


def test_a_raw_frame_is_told_to_have_no_sources() -> None:
    raw = done(SCI).entries[0].frame

    with pytest.raises(NotFoundError, match="is no reduced frame"):
        source_files.read(raw)
