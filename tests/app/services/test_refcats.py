import fcntl
from pathlib import Path

import pytest
from flask import Flask

from app import paths
from app.errors import ConflictError, InvalidRequestError, NotFoundError, UnavailableError
from app.services import refcats
from app.services.refcats import Request
from reduction.refcat.errors import NotCoveredError
from reduction.refcat.systems import System

pytestmark = pytest.mark.usefixtures("app")

COLUMNS = "ra=ra,dec=dec,V=V,V_err=e"


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return written(tmp_path / "stars.csv", 5)


def written(path: Path, n: int, *, ra0: float = 10.0) -> Path:
    rows = [f"{ra0 + i / 100},20.{i},15.{i},0.01" for i in range(n)]
    path.write_text("\n".join(["ra,dec,V,e", *rows]) + "\n")
    return path


def load(name: str, path: Path, **said: object) -> None:
    asked = {"columns": COLUMNS, "system": "Johnson"} | said
    refcats.load_files(Request(name, [path], **asked))  # type: ignore[arg-type]


def test_loaded_catalogue_is_listed_and_gives_its_stars(csv: Path) -> None:
    load("mine", csv, epoch=2016.0, title="My stars")

    assert [(meta.name, meta.title, meta.rows) for meta in refcats.catalogues()] == [
        ("mine", "My stars", 5)
    ]
    stars = refcats.cone("mine", 10.02, 20.25, 1.0, bands=["V"])
    assert len(stars) == 5
    assert stars.magnitudes("V", System.JOHNSON).error.tolist() == pytest.approx([0.01] * 5)
    assert paths.current().catalogues.joinpath("mine").is_dir()


def test_loaded_catalogue_has_quads_at_once_and_others_when_they_are_made(csv: Path) -> None:
    load("mine", csv)
    (own,) = refcats.quads()
    (refcats.open_catalogue("mine").folder / "quads.index").unlink()  # of an earlier version

    assert refcats.quads() == []
    made = refcats.make_quads("mine")

    (again,) = refcats.quads()
    assert made.name == "quads.index"
    assert again.n_quads == own.n_quads
    assert len(again.sky.xyz) == len(own.sky.xyz) >= 5


def test_damaged_quads_are_as_if_there_were_none(csv: Path) -> None:
    load("mine", csv)
    (refcats.open_catalogue("mine").folder / "quads.index").write_bytes(b"\0" * 9000)

    assert refcats.quads() == []
    assert len(refcats.cone("mine", 10.0, 20.0, 1.0)) == 5


def test_quads_of_a_catalogue_that_is_not_there_are_refused() -> None:
    with pytest.raises(NotFoundError):
        refcats.make_quads("nothing")


def test_catalogue_of_a_clients_name_has_its_title_and_answers_to_bhtoms(csv: Path) -> None:
    load("2MASS", csv)

    facts = refcats.facts("2mass")
    assert facts is not None
    assert facts.title == "2MASS PSC"
    assert refcats.stored_name("GaiaSP") == "gaiadr3syn"
    assert refcats.stored_name("GaiaDR3") == "gaiaedr3"
    assert refcats.stored_name("gaiadr3/any") == "gaiaedr3"
    assert refcats.stored_name("2mass/k") == "2mass"
    assert refcats.bands_named("GaiaSP/V") == ("V",)
    assert refcats.bands_named("gaiasp/ugriz") == tuple("ugriz")
    assert refcats.bands_named("gaiadr3/gbp") == ("BP",)
    assert refcats.bands_named("GaiaSP") == refcats.bands_named("ps1") == ()
    assert refcats.stored_name("GaiaSP/V") == refcats.stored_name("GaiaSP/ugriz") == "gaiadr3syn"
    with pytest.raises(InvalidRequestError, match="2MASS has no band 'V': it has J, H, K, or any"):
        refcats.stored_name("2MASS/V")
    assert len(refcats.cone("2MASS", 10.0, 20.0, 1.0)) == 5


def test_catalogue_loaded_again_is_the_new_one_at_once(csv: Path, tmp_path: Path) -> None:
    load("mine", csv)
    before = refcats.open_catalogue("mine")
    assert refcats.open_catalogue("mine") is before

    load("mine", written(tmp_path / "more.csv", 9))

    assert len(refcats.cone("mine", 10.0, 20.4, 2.0)) == 9
    assert len(before.cone(10.0, 20.4, 2.0)) == 5


def test_catalogue_dropped_and_loaded_anew_is_not_taken_for_the_old(
    csv: Path, tmp_path: Path
) -> None:
    load("mine", csv)
    refcats.open_catalogue("mine")

    refcats.drop("mine")
    load("mine", written(tmp_path / "more.csv", 3))

    assert len(refcats.cone("mine", 10.0, 20.4, 2.0)) == 3


def test_dropped_catalogue_is_gone_and_what_else_there_is_is_told(csv: Path) -> None:
    load("mine", csv)
    load("other", csv)

    refcats.drop("mine")

    assert [meta.name for meta in refcats.catalogues()] == ["other"]
    with pytest.raises(NotFoundError, match="mine is not loaded; there are other"):
        refcats.cone("mine", 10, 20, 1)
    with pytest.raises(NotFoundError):
        refcats.drop("mine")


def test_refused_file_leaves_the_old_catalogue(csv: Path, tmp_path: Path) -> None:
    load("mine", csv)
    bad = tmp_path / "bad.csv"
    bad.write_text("ra,dec,V,e\nx,y,z,w\n")

    with pytest.raises(InvalidRequestError, match=r"bad\.csv has no usable row"):
        load("mine", bad)

    assert len(refcats.cone("mine", 10.02, 20.25, 1.0)) == 5


def test_sky_that_is_not_loaded_is_told_from_empty_sky(csv: Path) -> None:
    load("mine", csv, covers=("10,20,5",))

    assert len(refcats.cone("mine", 12.0, 22.0, 0.1)) == 0
    with pytest.raises(NotCoveredError):
        refcats.cone("mine", 50.0, 20.0, 0.1)


@pytest.mark.parametrize("name", ["", "../x", "a b", "x" * 33, ".hidden", "ä"])
def test_names_that_are_none_are_refused(name: str, csv: Path) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be the name of a catalogue"):
        load(name, csv)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"preset": "nothing"}, "no preset"),
        ({"system": "nothing"}, "no photometric system"),
        ({"epoch": 57000.0}, "an epoch is a year"),
        ({"covers": ("here",)}, "no piece of sky"),
        ({"columns": "ra=ra"}, "which column is the dec"),
        ({"units": "ra=furlong"}, "cannot be in"),
    ],
)
def test_what_cannot_be_understood_is_refused_in_words(
    csv: Path, said: dict[str, object], words: str
) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        load("mine", csv, **said)


def test_two_do_not_load_one_catalogue_at_a_time(csv: Path) -> None:
    root = paths.current().catalogues
    root.mkdir(parents=True)
    with (root / ".mine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(ConflictError, match="is being loaded just now"):
            load("mine", csv)


def test_damaged_catalogue_says_so_and_does_not_hide_the_others(csv: Path) -> None:
    load("mine", csv)
    load("other", csv)
    meta = next(paths.current().catalogues.glob("mine/*/meta.json"))
    meta.write_text("{")

    assert [known.name for known in refcats.catalogues()] == ["other"]
    with pytest.raises(UnavailableError, match="damaged: load it again"):
        refcats.open_catalogue("mine")


def test_catalogues_that_lead_to_a_band_are_told_those_that_have_it_first(
    csv: Path, tmp_path: Path
) -> None:
    sloan = tmp_path / "sloan.csv"
    sloan.write_text("ra,dec,g,r\n1,2,15,16\n")
    load("a-sloan", sloan, columns="ra=ra,dec=dec,g=g,r=r", system="SDSS")
    load("mine", csv)

    assert [meta.name for meta in refcats.leading_to("V", System.JOHNSON)] == ["mine", "a-sloan"]
    assert refcats.leading_to("U", System.JOHNSON) == []


def test_there_are_no_catalogues_before_one_is_loaded(app: Flask) -> None:
    assert refcats.catalogues() == []
    with pytest.raises(NotFoundError, match="none is"):
        refcats.open_catalogue("ps1")
