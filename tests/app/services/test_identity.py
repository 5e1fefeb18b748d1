"""The same content twice, moved, or replaced: nothing is lost and nothing counted double."""

from pathlib import Path

import numpy as np
import pytest

from app.db import db, transaction
from app.models import Block, Frame, FrameParent, ScannedFile
from app.paths import current as paths_now
from app.services import identity, ingest
from reduction import cards, fitsio
from reduction.errors import BadFileError
from reduction.headers import series
from reduction.layouts import forget_layouts
from tests.app.services.asked import plan_of, statements
from tests.app.services.rawfiles import (
    SHAPE,
    all_frames,
    file_of,
    fits_bytes,
    frame_of,
    rest,
    scan,
    state_of,
    store,
)
from tests.factories import make_block, make_frame

WHOLE = fits_bytes()
OTHER_PIXELS = fits_bytes(np.full(SHAPE, 7))


def add_product(parent: Frame) -> Frame:
    product = make_frame(path=f"PROCESSED/{parent.id}.fits", level=2)
    with transaction():
        db.session.add(FrameParent(child=product, parent=parent, role="raw"))
    return product


# Duplicates


def test_same_content_is_a_duplicate_that_names_the_other(raw: Path) -> None:
    store(raw / "a.fits", WHOLE)
    store(raw / "night" / "copy.fits", WHOLE)

    report = scan()

    assert report.counts == {"registered": 1, "duplicate": 1}
    copy = file_of("night/copy.fits")
    assert copy.state == "duplicate"
    assert "a.fits" in copy.reason
    assert copy.duplicate_of_id == file_of("a.fits").id
    assert len(all_frames()) == 1


def test_duplicate_of_a_file_of_an_earlier_scan_is_found(raw: Path) -> None:
    store(raw / "b.fits", WHOLE)
    scan()

    store(raw / "a.fits", WHOLE)
    scan()

    assert state_of("b.fits") == ("registered", "")
    assert state_of("a.fits") == ("duplicate", "duplicate")
    assert file_of("b.fits").content_sha256 == file_of("a.fits").content_sha256 != ""
    assert scan().changes == []


def test_same_header_with_other_pixels_is_another_frame(raw: Path) -> None:
    store(raw / "a.fits", WHOLE)
    store(raw / "b.fits", OTHER_PIXELS)

    report = scan()

    assert report.counts == {"registered": 2}
    assert file_of("a.fits").content_sha256 != file_of("b.fits").content_sha256
    assert [f.content_sha256 for f in all_frames()][1] == file_of("b.fits").content_sha256


def test_content_is_only_hashed_where_size_and_header_are_the_same(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    real = fitsio.content_sha256

    def note(path: Path) -> str:
        hashed.append(path.name)
        return real(path)

    monkeypatch.setattr(fitsio, "content_sha256", note)
    store(raw / "a.fits", WHOLE)
    store(raw / "b.fits", fits_bytes(OBJECT="Other"))
    store(raw / "c.fits", OTHER_PIXELS)

    scan()

    assert sorted(hashed) == ["a.fits", "c.fits"]


def test_three_of_a_kind_are_one_frame(raw: Path) -> None:
    for name in ("a.fits", "b.fits", "c.fits"):
        store(raw / name, WHOLE)

    scan()

    assert {file_of(n).duplicate_of_id for n in ("b.fits", "c.fits")} == {file_of("a.fits").id}
    assert len(all_frames()) == 1


def test_link_to_a_file_of_raw_is_its_duplicate(raw: Path) -> None:
    store(raw / "z.fits", WHOLE)
    (raw / "a.fits").symlink_to("z.fits")

    scan()

    assert state_of("z.fits") == ("registered", "")
    assert state_of("a.fits") == ("duplicate", "duplicate")


def test_same_names_in_different_folders_are_different_files(raw: Path) -> None:
    store(raw / "n1" / "a.fits", WHOLE)
    store(raw / "n2" / "a.fits", fits_bytes(OBJECT="Other"))

    scan()

    assert [f.path for f in all_frames()] == ["RAW/n1/a.fits", "RAW/n2/a.fits"]
    assert {f.file_name for f in all_frames()} == {"a.fits"}


def test_duplicate_takes_the_place_of_an_original_that_vanished(raw: Path) -> None:
    store(raw / "a.fits", WHOLE)
    store(raw / "b.fits", WHOLE)
    scan()
    frame_id = frame_of("a.fits").id

    (raw / "a.fits").unlink()
    report = scan()

    assert report.counts == {"registered": 1, "missing": 1}
    frame = frame_of("b.fits")
    assert (frame.id, frame.unusable) == (frame_id, None)
    assert state_of("a.fits") == ("missing", "moved")
    assert "b.fits" in file_of("a.fits").reason
    assert scan().changes == []


@pytest.mark.parametrize("is_hashed", [True, False])
def test_both_copies_of_a_file_may_move_and_each_says_where_to(raw: Path, is_hashed: bool) -> None:
    store(raw / "a.fits", WHOLE)
    store(raw / "b.fits", WHOLE)
    scan()
    frame_id = frame_of("a.fits").id
    if not is_hashed:
        with transaction():
            file_of("a.fits").content_sha256 = ""

    for name in ("a.fits", "b.fits"):
        (raw / "new").mkdir(exist_ok=True)
        (raw / name).rename(raw / "new" / name)
    scan()

    assert [frame.id for frame in all_frames()] == [frame_id]
    assert frame_of("new/a.fits").unusable is None
    assert state_of("new/a.fits") == ("registered", "")
    assert state_of("new/b.fits") == ("duplicate", "duplicate")
    assert file_of("a.fits").reason == "It was moved to new/a.fits."
    assert file_of("b.fits").reason == ("It is no longer in RAW; new/a.fits has the same content.")


def test_duplicate_becomes_a_frame_when_its_original_is_overwritten(raw: Path) -> None:
    store(raw / "a.fits", WHOLE)
    store(raw / "b.fits", WHOLE)
    scan()
    frame_id = frame_of("a.fits").id

    store(raw / "a.fits", OTHER_PIXELS, age_s=5000)
    scan()

    assert state_of("b.fits") == ("registered", "")
    assert frame_of("a.fits").id == frame_id != frame_of("b.fits").id
    assert scan().changes == []


# Moved


@pytest.mark.parametrize("is_hashed", [True, False])
def test_moved_file_keeps_its_frame(raw: Path, is_hashed: bool) -> None:
    path = store(raw / "incoming" / "a.fits", WHOLE)
    scan()
    frame = frame_of("incoming/a.fits")
    with transaction():
        frame.comment = "good seeing"
        file_of("incoming/a.fits").content_sha256 = fitsio.content_sha256(path) if is_hashed else ""

    (raw / "2025-11-20").mkdir()
    path.rename(raw / "2025-11-20" / "a.fits")
    report = scan()

    moved = frame_of("2025-11-20/a.fits")
    assert (moved.id, moved.comment, moved.unusable) == (frame.id, "good seeing", None)
    assert moved.file_id == file_of("2025-11-20/a.fits").id
    assert "incoming/a.fits" in moved.notes[0]
    assert state_of("incoming/a.fits") == ("missing", "moved")
    assert report.counts == {"registered": 1, "missing": 1}


def test_moved_file_that_comes_back_is_a_duplicate(raw: Path) -> None:
    path = store(raw / "a.fits", WHOLE)
    scan()
    path.rename(raw / "b.fits")
    scan()

    store(raw / "a.fits", WHOLE)
    scan()

    assert state_of("a.fits") == ("duplicate", "duplicate")
    assert state_of("b.fits") == ("registered", "")
    assert len(all_frames()) == 1


def test_other_file_with_the_header_of_a_vanished_one_is_not_taken_for_it(raw: Path) -> None:
    path = store(raw / "a.fits", WHOLE)
    scan()

    path.unlink()
    store(raw / "b.fits", OTHER_PIXELS, age_s=5000)
    scan()

    assert state_of("a.fits") == ("missing", "missing")
    assert frame_of("a.fits").id != frame_of("b.fits").id


# Replaced


def test_replaced_file_keeps_its_frame_and_says_what_is_stale(raw: Path) -> None:
    path = store(raw / "a.fits", WHOLE)
    scan()
    frame = frame_of("a.fits")
    product = add_product(frame)
    tile = add_product(product)
    with transaction():
        frame.comment, frame.is_valid, frame.status = "mine", False, 1

    store(path, fits_bytes(np.full(SHAPE, 3), OBJECT="Other", EXPTIME=5.0), age_s=5000)
    report = scan()

    now = frame_of("a.fits")
    assert (now.id, now.object_name, now.exptime_s) == (frame.id, "Other", 5.0)
    assert (now.comment, now.is_valid, now.status) == ("mine", False, 1)
    assert "replaced" in now.notes[-1]
    for made in (product, tile):
        assert "process it again" in db.session.get_one(Frame, made.id).notes[-1]
    assert [c.path for c in report.changes] == ["a.fits"]


def test_what_was_made_of_a_replaced_file_is_outdated_and_due_again(raw: Path) -> None:
    path = store(raw / "a.fits", WHOLE)
    scan()
    frame = frame_of("a.fits")
    product = add_product(frame)
    block = make_block("sci", [frame], status=4)
    with transaction():
        product.fingerprint = "made"
        block.entries[0].product = product

    store(path, fits_bytes(np.full(SHAPE, 3), OBJECT="Other"), age_s=5000)
    scan()

    made = db.session.get_one(Frame, product.id)
    assert made.outdated == "a.fits was replaced after this was made"
    assert made.fingerprint == ""
    assert db.session.get_one(Block, block.id).status == 0


def test_master_made_of_a_replaced_file_is_outdated_with_all_it_was_used_for(raw: Path) -> None:
    path = store(raw / "a.fits", WHOLE)
    scan()
    master, product = make_frame("bias", level=1), make_frame(level=2)
    block = make_block("bias", [frame_of("a.fits")], status=4)
    with transaction():
        db.session.add(FrameParent(child=master, parent=frame_of("a.fits"), role="member"))
        db.session.add(FrameParent(child=product, parent=master, role="bias"))
        block.master = master

    store(path, fits_bytes(np.full(SHAPE, 3), OBJECT="Other"), age_s=5000)
    scan()

    for made in (master, product):
        assert "replaced" in (db.session.get_one(Frame, made.id).outdated or "")
    assert db.session.get_one(Block, block.id).status == 0


def test_replaced_pixels_under_the_same_header_are_noticed_where_a_hash_is_known(
    raw: Path,
) -> None:
    path = store(raw / "a.fits", WHOLE)
    scan()
    with transaction():  # as the first job that reads the pixels does
        frame_of("a.fits").content_sha256 = fitsio.content_sha256(path)

    store(path, OTHER_PIXELS, age_s=5000)
    scan()

    assert "replaced" in frame_of("a.fits").notes[-1]
    assert frame_of("a.fits").content_sha256 == fitsio.content_sha256(path)


def test_touched_file_is_still_the_same(raw: Path) -> None:
    path = store(raw / "a.fits", WHOLE)
    scan()
    sha256 = fitsio.content_sha256(path)
    with transaction():
        frame_of("a.fits").content_sha256 = sha256

    rest(path, 5000)
    scan()

    frame = frame_of("a.fits")
    assert (frame.notes, frame.content_sha256) == ([], sha256)
    assert scan().changes == []


def test_file_replaced_by_a_bad_one_keeps_its_frame_out_of_new_work(raw: Path) -> None:
    path = store(raw / "a.fits", WHOLE)
    scan()

    store(path, b"nothing good" * 1000, age_s=5000)
    scan()

    assert state_of("a.fits") == ("quarantined", "not_fits")
    assert "SIMPLE" in (frame_of("a.fits").unusable or "")

    store(path, WHOLE)
    scan()

    assert state_of("a.fits") == ("registered", "")
    assert frame_of("a.fits").unusable is None


def test_file_being_written_again_waits_and_its_frame_too(raw: Path) -> None:
    path = store(raw / "a.fits", WHOLE)
    scan()

    rest(path, 0)
    scan()

    assert state_of("a.fits") == ("waiting", "young")
    assert frame_of("a.fits").unusable

    rest(path)
    scan()
    assert frame_of("a.fits").unusable is None


# Digests of before


def make_former(*paths: str) -> None:
    """Give stored files the digests that a database of before has of their headers."""
    with transaction():
        for path in paths:
            headers = fitsio.read_headers(paths_now().raw / path)
            assert file_of(path).header_digest == headers.digest
            file_of(path).header_digest = headers.former_digest


@pytest.mark.parametrize("is_series", [True, False])
def test_copies_of_files_with_former_digests_are_found(raw: Path, *, is_series: bool) -> None:
    contents = [fits_bytes(DATE_OBS=f"2025-11-20T22:0{n}:00") for n in range(8)]
    names = [f"{n}.fits" for n in range(8)]
    for name, content in zip(names, contents, strict=True):
        store(raw / "old" / name, content)
    scan()
    make_former(*[f"old/{name}" for name in names])
    (raw / "new").mkdir()
    (raw / "old" / "0.fits").rename(raw / "new" / "0.fits")
    for name, content in list(zip(names, contents, strict=True))[1:]:
        store(raw / "new" / name, content)
    if not is_series:
        forget_layouts()
    frames = {frame.id for frame in all_frames()}

    report = scan()

    assert report.counts == {"registered": 8, "duplicate": 7, "missing": 1}
    assert state_of("new/0.fits") == ("registered", "")
    assert state_of("old/0.fits") == ("missing", "moved")
    assert {frame.id for frame in all_frames()} == frames
    assert {file_of(f"new/{name}").header_digest[0] for name in names} == {"x"}


def test_file_with_a_former_digest_is_the_same_when_it_is_touched_and_gets_that_of_today(
    raw: Path,
) -> None:
    path = store(raw / "a.fits", WHOLE)
    scan()
    today = file_of("a.fits").header_digest
    with transaction():
        file_of("a.fits").content_sha256 = fitsio.content_sha256(path)
    make_former("a.fits")
    assert ingest.frame_info(frame_of("a.fits")).nx == SHAPE[1]

    rest(path, 5000)
    scan()

    assert file_of("a.fits").header_digest == today
    assert frame_of("a.fits").notes == []


def test_where_no_digest_is_a_former_one_none_is_taken(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor for those of files that no other can be a copy of any more."""
    old = store(raw / "old.fits", WHOLE)
    scan()
    old.rename(raw / "moved.fits")
    scan()
    with transaction():
        file_of("old.fits").header_digest = "0" * 64
    for place in (series, cards):
        monkeypatch.setattr(place, "former_digest", lambda _raw: pytest.fail("taken"))
    for number in range(8):
        store(raw / f"{number}.fits", fits_bytes(DATE_OBS=f"2025-11-20T22:0{number}:00"))

    assert scan().counts == {"registered": 9, "missing": 1}


def test_another_header_under_a_name_with_a_former_digest_is_a_replaced_file(raw: Path) -> None:
    store(raw / "a.fits", WHOLE)
    scan()
    make_former("a.fits")

    store(raw / "a.fits", fits_bytes(OBJECT="M 2"), age_s=5000)
    with pytest.raises(BadFileError, match="changed since it was scanned"):
        ingest.frame_info(frame_of("a.fits"))
    scan()

    assert any("was replaced" in note for note in frame_of("a.fits").notes)


def test_former_digests_are_found_and_told_by_an_index_alone(raw: Path) -> None:
    store(raw / "a.fits", WHOLE)
    scan()
    with transaction():
        db.session.add(ScannedFile(path="b.fits", size=0, mtime_ns=0, state="quarantined"))
    with statements() as found:
        assert not identity.has_former_digests()
        make_former("a.fits")
        assert identity.has_former_digests()
    if db.engine.dialect.name == "sqlite":
        (step,) = plan_of(found, "header_digest <")
        assert step.startswith("SEARCH scanned_files USING INDEX ix_scanned_files_header_digest")


def test_known_files_of_the_same_headers_are_found_by_these_alone(raw: Path) -> None:
    """In an archive of a million, an index of anything else would go through all of them."""
    if db.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL plans by how many rows there are")
    store(raw / "a.fits", WHOLE)
    store(raw / "b.fits", fits_bytes(OBJECT="M 2"))

    with statements() as found:
        scan()

    plan = plan_of(found, "WHERE header_digest IN")
    steps = [step for step in plan if "scanned_files" in step]
    assert [step.split(" (")[0] for step in steps] == [
        "SEARCH scanned_files USING INDEX ix_scanned_files_header_digest"
    ]
    _, values = next(one for one in found if "WHERE header_digest IN" in one[0])
    assert len(values) > 1
