from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from app import paths
from app.services import refcats
from reduction.simulate import NightParams, reference_catalogue, star_fields
from reduction.simulate.truth import write_table
from tests.app.services import vizierdouble
from tests.app.services.vizierdouble import VizierDouble, stars_around


def run(app: Flask, *words: str) -> Result:
    return app.test_cli_runner().invoke(args=["refcat", *words])


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "stars.csv"
    path.write_text("RA,DE,Vmag,e_Vmag\n10.0,20.0,15.0,0.01\n10.1,20.0,x,0.01\n,20.0,15.0,0.01\n")
    return path


def test_catalogue_is_loaded_listed_and_dropped(app: Flask, csv: Path) -> None:
    columns = "ra=RA,dec=DE,V=Vmag,V_err=e_Vmag"

    loaded = run(app, "load", str(csv), "--name", "mine", "--columns", columns, "--system", "UBVRI")

    assert loaded.exit_code == 0, loaded.output
    assert "sorting: 100%" in loaded.output
    assert "left out: 1 row without a position" in loaded.output
    assert "mine: mine; 2 stars, epoch 2000; V (Johnson-Cousins); loaded" in loaded.output
    assert "mine: mine; 2 stars" in run(app, "list").output
    assert run(app, "drop", "mine").output == "mine is gone\n"
    assert run(app, "list").output == "no catalogue is loaded\n"


def test_quads_are_made_of_all_catalogues_or_of_those_named(app: Flask, csv: Path) -> None:
    for name in ("one", "two"):
        run(app, "load", str(csv), "--name", name, "--columns", "ra=RA,dec=DE,V=Vmag")

    told = run(app, "quads").output.splitlines()

    assert [line.partition(":")[0] for line in told] == ["one", "two"]
    assert run(app, "quads", "two").output.startswith("two: quads of 0.0 MB")
    assert "not loaded" in run(app, "quads", "three").output


def keep(app: Flask, csv: Path, *names: str) -> None:
    """Store catalogues; those that end as if they had been fetched."""
    for name in names:
        own = name.removesuffix(refcats.FETCHED)
        run(app, "load", str(csv), "--name", own, "--columns", "ra=RA,dec=DE,V=Vmag")
        refcats.folder_of(own).rename(refcats.folder_of(name))


def spoil(name: str, file: str, content: bytes = b"") -> None:
    path = refcats.open_catalogue(name).folder / file
    path.write_bytes(content or path.read_bytes()[:-1] + b"\x01")


def test_a_check_looks_at_every_catalogue_and_says_what_to_do(app: Flask, csv: Path) -> None:
    keep(app, csv, "fine", "one", "quads", "three", "two-online")
    assert run(app, "check").exit_code == 0
    spoil("one", "V.npy")
    spoil("quads", "quads.index", b"{}")
    spoil("three", "meta.json")
    spoil("two-online", "coverage.npy")

    checked = run(app, "check")

    again = "load it again: flask refcat load FILE... --name"
    dropped = "drop it: flask refcat drop two-online. Its stars are fetched again when needed"
    assert checked.exit_code == 1
    assert checked.output.splitlines() == [
        "fine: whole",
        f"one: damaged: V.npy is not what was written; {again} one",
        "quads: damaged: quads.index cannot be read; make it anew: flask refcat quads quads",
        f"three: damaged: meta.json cannot be read; {again} three",
        f"two-online: damaged: coverage.npy is not what was written; {dropped}",
        "Error: 4 catalogues are damaged: one, quads, three, two-online",
    ]
    assert run(app, "check", "fine").exit_code == 0
    assert "three: damaged" in run(app, "check", "three").output
    assert "not loaded" in run(app, "check", "four").output


def test_what_a_check_says_cures_what_it_found(app: Flask, csv: Path) -> None:
    keep(app, csv, "one", "two-online")
    spoil("one", "quads.index", b"{}")
    folder = refcats.open_catalogue("two-online").folder
    folder.rename(folder.with_name("#4711"))
    assert "two-online: damaged: nothing of it can be recognised" in run(app, "check").output

    assert run(app, "quads", "one").exit_code == 0
    assert run(app, "drop", "two-online").exit_code == 0

    assert run(app, "check").output == "one: whole\n"


def test_a_load_that_failed_is_no_damage(app: Flask, csv: Path) -> None:
    assert run(app, "load", str(csv), "--name", "mine", "--columns", "ra=X").exit_code == 1
    (paths.current().catalogues / "mine").mkdir(parents=True, exist_ok=True)

    assert (run(app, "check").exit_code, run(app, "check").output) == (0, "")


def test_coverage_tells_the_sky_and_a_place_in_it(app: Flask, csv: Path) -> None:
    options = ("--columns", "ra=RA,dec=DE,V=Vmag", "--covers", "10,20,2")
    run(app, "load", str(csv), "--name", "mine", *options)

    assert run(app, "coverage", "mine").output.startswith("mine: 13 square degrees, as declared")
    here = run(app, "coverage", "mine", "--at", "10,20,1")
    assert here.output == "100% of it is loaded, with 2 stars\n"
    assert "has not been loaded" in run(app, "coverage", "mine", "--at", "100,20,1").output
    assert "RA,DEC,RADIUS" in run(app, "coverage", "mine", "--at", "here").output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--columns", "ra=RA,dec=DEC,V=Vmag"], "no column 'DEC'; it has RA, DE, Vmag, e_Vmag"),
        (["--columns", "ra=RA,dec=DE"], "name a magnitude"),
        (["--preset", "vizier-ps1"], "no column 'RAJ2000' or '_RAJ2000'"),
        (["--columns", "ra"], "written name=value"),
    ],
)
def test_bad_input_is_refused_in_a_line(app: Flask, csv: Path, words: list[str], told: str) -> None:
    result = run(app, "load", str(csv), "--name", "mine", *words)

    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert told in result.output
    assert "Traceback" not in result.output


def test_a_name_of_fetched_stars_cannot_be_loaded(app: Flask, csv: Path) -> None:
    result = run(app, "load", str(csv), "--name", "x-online", "--columns", "ra=RA,dec=DE,V=Vmag")

    assert result.exit_code == 1
    assert "a name that ends in -online is kept for stars that are fetched" in result.output
    assert "take another, such as x" in result.output
    assert refcats.catalogues() == []


@pytest.mark.parametrize("command", ["drop", "coverage"])
def test_catalogue_that_is_not_there_is_refused_in_a_line(app: Flask, command: str) -> None:
    result = run(app, command, "nothing")

    assert (result.exit_code, result.output) == (
        1,
        "Error: the catalogue nothing is not loaded; none is\n",
    )


def test_catalogue_of_a_simulated_night_loads_by_its_preset(app: Flask, tmp_path: Path) -> None:
    params = NightParams.small()
    skies = star_fields(params)
    write_table(tmp_path / "refcat.csv", reference_catalogue(skies, params))

    result = run(
        app, "load", str(tmp_path / "refcat.csv"), "--name", "demo", "--preset", "simulated"
    )

    assert result.exit_code == 0, result.output
    sky, target = skies[0], params.fields[0]
    stars = refcats.cone("demo", target.ra_deg, target.dec_deg, 1.0, epoch=2025.887)
    assert stars.star_id is not None
    assert sorted(stars.star_id.tolist()) == sorted(sky.star_id.tolist())
    order = stars.star_id.argsort()
    assert abs(stars.dec_deg[order] - sky.dec_deg[sky.star_id.argsort()]).max() * 3600 < 1e-3


def test_stars_are_fetched_for_a_night_without_the_internet(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = VizierDouble(stars_around(150.0, 20.0))
    vizierdouble.install(monkeypatch, double)

    fetched = run(app, "fetch", "atlas", "--at", "150,20,0.2")
    again = run(app, "fetch", "atlas", "--at", "150.01,20.01,0.2")
    beyond = run(app, "fetch", "ps1", "--at", "150,-60,0.2")
    nonsense = run(app, "fetch", "atlas", "--at", "here")

    assert fetched.exit_code == 0
    assert fetched.output.startswith("VizieR gave ")
    assert again.output.startswith("VizieR was asked before and gave ")
    assert len(double.asked) == 1
    assert "atlas-online: ATLAS-REFCAT2" in run(app, "list").output
    assert (beyond.exit_code, nonsense.exit_code) == (1, 1)
    assert "reaches from declination -30 to +90 only" in beyond.output
    assert "--at takes RA,DEC,RADIUS in degrees" in nonsense.output
