"""Gaps in catalogues that VizieR fills: what comes stays, and what does not come stops nothing."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from app import paths
from app.errors import InvalidRequestError, NotFoundError, UnavailableError
from app.models import User
from app.services import (
    catalogue_choice,
    online_catalogues,
    refcats,
    reference_stars,
    settings,
    vizier,
)
from app.services.online_catalogues import Filler
from reduction.refcat.errors import BadCatalogueError, NotCoveredError
from reduction.refcat.known import KNOWN
from reduction.refcat.regions import Cone
from tests.app.services import vizierdouble
from tests.app.services.vizierdouble import (
    NO_DATABASE,
    NOTHING,
    VizierDouble,
    stars_around,
    votable,
)

pytestmark = pytest.mark.usefixtures("app")

PLACE = (150.0, 20.0, 0.2)
CONE = Cone(*PLACE)


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch, staff: User) -> VizierDouble:
    made = VizierDouble(stars_around(150.0, 20.0))
    vizierdouble.install(monkeypatch, made)
    settings.change("catalogues", "online", True, by=staff)
    return made


def stored() -> list[str]:
    """Return every file below the catalogues that is not of a generation or a lock."""
    root = paths.current().catalogues
    return sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and not path.match("g0*/*") and path.suffix != ".lock"
    )


def load_local(tmp_path: Path, *, covers: str = "150,20,0.5") -> None:
    path = tmp_path / "own.csv"
    path.write_text("ra,dec,g,r\n150.01,20.01,15.5,15.0\n")
    refcats.load_files(
        refcats.Request(
            "atlas", [path], columns="ra=ra,dec=dec,g=g,r=r", system="SDSS", covers=[covers]
        )
    )


def test_stars_that_are_not_here_come_once_and_stay(double: VizierDouble) -> None:
    said: list[str] = []

    Filler("r", said.append)(*PLACE)
    Filler("r", said.append)(*PLACE)
    double.answer = lambda: pytest.fail("it was asked again")
    found = refcats.cone("atlas", *PLACE)

    [query] = double.asked
    assert query["table"] == "J/ApJ/867/105/refcat2"
    assert query["url"] == "https://vizier.cds.unistra.fr/viz-bin/votable"
    assert query["filters"] == {"rmag": "<20"}
    assert query["timeout"] == 30
    assert query["radius_deg"] == pytest.approx(0.29)
    where = "stars of atlas within 0.29 degrees of 150.0000 +20.0000"
    assert re.fullmatch(rf"VizieR gave \d\d {re.escape(where)}", said[0])
    assert said[1] == said[0].replace("VizieR gave", "VizieR was asked before and gave")
    assert found.coverage == pytest.approx(1.0)
    assert 10 < len(found) < 60
    assert {band.name: str(band.system) for band in found.bands}["r"] == "Pan-STARRS"
    assert [meta.name for meta in refcats.catalogues()] == ["atlas-online"]
    assert stored() == ["atlas-online/.asked.json"]


def test_nothing_is_asked_where_the_site_does_not_say_so(double: VizierDouble, staff: User) -> None:
    settings.change("catalogues", "online", False, by=staff)

    Filler("r", lambda _said: pytest.fail("it spoke"))(*PLACE)

    assert double.asked == []
    assert not catalogue_choice.can_have("atlas")
    assert online_catalogues.suggested("r", (150.0, 20.0)) is None


def test_a_catalogue_that_covers_the_place_goes_first(double: VizierDouble, tmp_path: Path) -> None:
    load_local(tmp_path)

    Filler("r", lambda _said: pytest.fail("it spoke"))(*PLACE)

    assert double.asked == []


def test_a_gap_beside_what_is_loaded_is_filled_and_what_is_loaded_stays(
    double: VizierDouble, tmp_path: Path
) -> None:
    load_local(tmp_path, covers="151,20,0.5")

    Filler("r", lambda _said: None)(*PLACE)

    assert len(double.asked) == 1
    assert refcats.cone("atlas", *PLACE).coverage == pytest.approx(1.0)
    assert len(refcats.cone("atlas", 151.0, 20.0, 0.2)) == 0  # loaded, and without stars
    with pytest.raises(NotCoveredError):
        refcats.cone("atlas", 10.0, -40.0, 0.2)


def test_two_places_make_one_catalogue_without_repeated_stars(double: VizierDouble) -> None:
    double.sky = stars_around(150.0, 20.0) + stars_around(150.3, 20.0, seed=2)
    said: list[str] = []

    Filler("r", said.append)(150.0, 20.0, 0.2)
    first = len(refcats.cone("atlas", 150.0, 20.0, 0.2))
    Filler("r", said.append)(150.3, 20.0, 0.2)

    assert len(double.asked) == 2
    assert len(refcats.cone("atlas", 150.0, 20.0, 0.2)) == first
    assert refcats.cone("atlas", 150.3, 20.0, 0.2).coverage == pytest.approx(1.0)
    facts = refcats.facts("atlas-online")
    assert facts is not None
    assert len(facts.sources) == 2
    places = {(s["RA_ICRS"], s["DE_ICRS"]) for s in double.sky}
    assert facts.rows <= len(places)
    assert refcats.damage("atlas-online") == []


def test_a_deeper_look_at_the_same_sky_is_asked_for(double: VizierDouble) -> None:
    Filler("r", lambda _said: None)(150.0, 20.0, 1.0)
    Filler("r", lambda _said: None)(*PLACE)

    assert [query["filters"]["rmag"] for query in double.asked] == ["<16.5", "<20"]


def answers_nonsense() -> str:
    return "<html><body>502 Bad Gateway</body></html>"


def answers_half() -> str:
    whole = votable(stars_around(150.0, 20.0), ["RA_ICRS", "DE_ICRS", "rmag"])
    return whole[: len(whole) // 2]


def is_slow() -> str:
    raise requests.ReadTimeout("HTTPSConnectionPool(host='vizier', port=443): Read timed out.")


def is_not_there() -> str:
    raise requests.ConnectionError("Max retries exceeded with url: /viz-bin/votable")


def raises_nonsense() -> str:
    raise KeyError("payload")


def is_too_much() -> str:
    raise MemoryError


@pytest.mark.parametrize(("answer", "status", "why"), [
    (answers_nonsense, 503, "answered with HTTP status 503"),
    (answers_nonsense, 429, "answered with HTTP status 429"),
    (is_slow, 200, "did not answer within 30 s"),
    (is_not_there, 200, "is out of reach: is the internet there?"),
])  # fmt: skip
def test_a_server_that_is_away_is_said_and_left_alone_for_a_while(
    double: VizierDouble, answer: Callable[[], str], status: int, why: str
) -> None:
    double.answer, double.status = answer, status
    said: list[str] = []

    Filler("r", said.append)(*PLACE)
    Filler("r", said.append, "vhs")(*PLACE)

    assert len(double.asked) == 1
    assert why in said[0]
    assert why in said[1]
    assert said[1].startswith("Stars of vhs could not be fetched: VizieR")
    assert stored() == [".online-away"]


@pytest.mark.parametrize(("answer", "status", "why"), [
    (answers_nonsense, 200, "VizieR's answer is no VOTable"),
    (answers_nonsense, 404, "answered with HTTP status 404"),
    (answers_half, 200, "VizieR's answer is no VOTable, or was cut off"),
    (lambda: NO_DATABASE, 200, "an error: The database is not currently reachable."),
    (raises_nonsense, 200, "cannot be used (KeyError: 'payload')"),
    (is_too_much, 200, "cannot be used (MemoryError: )"),
])  # fmt: skip
def test_a_table_that_cannot_be_had_is_said_and_left_alone_and_others_are_not(
    double: VizierDouble, answer: Callable[[], str], status: int, why: str
) -> None:
    double.answer, double.status = answer, status
    said: list[str] = []

    Filler("r", said.append)(*PLACE)
    Filler("r", said.append)(*PLACE)

    assert len(double.asked) == 1
    assert said[0].startswith("Stars of atlas could not be fetched: ")
    assert why in said[0]
    assert why in said[1]
    assert "it is not asked again before" in said[1]
    assert refcats.catalogues() == []
    assert stored() == [".online-away-atlas"]
    with pytest.raises(NotFoundError):
        refcats.cone("atlas", *PLACE)

    double.answer, double.status = lambda: NOTHING, 200
    Filler("r", said.append, "gaiaedr3")(*PLACE)

    assert said[2].startswith("VizieR gave no stars of gaiaedr3")


def test_a_server_that_was_away_is_asked_again_later(double: VizierDouble) -> None:
    double.answer = is_slow
    Filler("r", lambda _said: None)(*PLACE)
    double.answer = None
    long_ago = time.time() - online_catalogues.REST_S - 1
    os.utime(paths.current().catalogues / ".online-away", (long_ago, long_ago))

    Filler("r", lambda _said: None)(*PLACE)

    assert len(refcats.cone("atlas", *PLACE)) > 10


def test_a_sky_without_stars_is_no_gap_and_one_a_survey_does_not_cover_is_said_to_be(
    double: VizierDouble,
) -> None:
    double.answer = lambda: NOTHING
    said: list[str] = []

    Filler("r", said.append, "gaiaedr3")(*PLACE)
    Filler("r", said.append, "sdss")(*PLACE)
    Filler("r", said.append, "sdss")(*PLACE)

    assert said[0].endswith("gave no stars of gaiaedr3 within 0.29 degrees of 150.0000 +20.0000")
    assert said[1].endswith(": that survey does not cover it")
    assert said[2].startswith("VizieR was asked before and gave no stars of sdss")
    assert len(double.asked) == 2
    assert refcats.catalogues() == []


def test_an_answer_without_stars_is_not_believed_for_ever(double: VizierDouble) -> None:
    double.answer = lambda: NOTHING
    Filler("r", lambda _said: None)(*PLACE)
    path = paths.current().catalogues / "atlas-online" / ".asked.json"
    asked = json.loads(path.read_text())
    asked[0]["when_s"] -= online_catalogues.FORGET_S + 1
    path.write_text(json.dumps(asked))
    double.answer = None

    Filler("r", lambda _said: None)(*PLACE)

    assert len(refcats.cone("atlas", *PLACE)) > 10


def test_half_of_a_field_beyond_a_surveys_edge_is_not_taken_for_empty(
    double: VizierDouble,
) -> None:
    northern = [star for star in stars_around(150.0, 20.0, 4000) if star["DE_ICRS"] > 20.0]
    double.sky = [{"class": 6, "mode": 1, **star} for star in northern]

    Filler("r", lambda _said: None, "sdss")(*PLACE)

    assert double.asked[0]["filters"] == {"rmag": "<20", "class": "=6", "mode": "=1"}
    assert refcats.cone("sdss", *PLACE).coverage == pytest.approx(0.5, abs=0.15)
    with pytest.raises(NotCoveredError):
        refcats.cone("sdss", 150.0, 19.85, 0.05)


def test_too_many_stars_are_asked_for_again_brighter(
    double: VizierDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vizier, "MOST_ROWS", 20)
    said: list[str] = []

    Filler("r", said.append)(*PLACE)
    limits = [query["filters"]["rmag"] for query in double.asked]
    Filler("r", said.append)(*PLACE)

    assert limits[:2] == ["<20", "<18.5"]
    assert len(double.asked) == len(limits)
    n_stars = len(refcats.cone("atlas", 150.0, 20.0, 0.29))
    assert 0 < n_stars < 20
    which = f"gave the {n_stars} brightest stars of atlas, to mag {limits[-1][1:]}, within 0.29"
    assert which in said[0]
    assert which in said[1]

    Filler("r", said.append)(150.0, 20.0, 0.05)  # a small part of it may be had deeper
    assert double.asked[len(limits)]["filters"] == {"rmag": "<20"}


def test_a_place_with_too_many_stars_at_any_depth_is_said(
    double: VizierDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vizier, "MOST_ROWS", 1)
    said: list[str] = []
    double.sky = [star | {"rmag": 5.0} for star in double.sky]

    Filler("r", said.append)(*PLACE)

    assert "more than 1 stars lie there" in said[0]
    assert refcats.catalogues() == []


def test_a_table_with_other_columns_is_refused_and_what_is_there_stays(
    double: VizierDouble,
) -> None:
    Filler("r", lambda _said: None)(*PLACE)
    before = len(refcats.cone("atlas", *PLACE))
    said: list[str] = []
    double.sky = stars_around(10.0, 5.0)
    for star in double.sky:
        del star["zmag"], star["e_zmag"]

    Filler("r", said.append)(10.0, 5.0, 0.2)

    assert "do not have the same columns: z, z_err" in said[0]
    assert len(refcats.cone("atlas", *PLACE)) == before
    assert stored() == [".online-away-atlas", "atlas-online/.asked.json"]


def test_without_astroquery_one_is_told_how_to_have_it(
    double: VizierDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    vizierdouble.remove(monkeypatch)
    said: list[str] = []

    Filler("r", said.append)(*PLACE)

    assert "astroquery, which is not installed" in said[0]
    assert "pip install astroquery" in said[0]
    assert stored() == []


def test_one_image_asks_a_few_times_only(double: VizierDouble) -> None:
    double.answer = lambda: NOTHING
    fill = Filler("r", lambda _said: None)

    for ra in range(0, 200, 20):
        fill(float(ra), 20.0, 0.2)

    assert len(double.asked) == online_catalogues.MOST_A_FILLER


def test_what_a_killed_fetch_left_goes_with_the_next(double: VizierDouble) -> None:
    left = paths.current().catalogues / ".fetched-killed" / "half.vot"
    left.parent.mkdir(parents=True)
    left.write_text("<VOTABLE>")
    long_ago = time.time() - online_catalogues.ABANDONED_S - 1
    os.utime(left.parent, (long_ago, long_ago))
    at_work = left.parent.with_name(".fetched-at-work")
    at_work.mkdir()

    Filler("r", lambda _said: None)(*PLACE)

    assert not left.parent.exists()
    assert at_work.exists()
    at_work.rmdir()
    assert list(left.parent.parent.glob(".fetched-*")) == []
    assert stored() == ["atlas-online/.asked.json"]


def test_fetching_is_refused_where_it_cannot_be_of_use(double: VizierDouble) -> None:
    with pytest.raises(NotFoundError, match="VizieR is asked for gaiadr3syn, ps1"):
        online_catalogues.fetch("mine", CONE)
    with pytest.raises(InvalidRequestError, match="reaches from declination -30 to"):
        online_catalogues.fetch("ps1", Cone(10.0, -60.0, 0.2))
    with pytest.raises(InvalidRequestError, match=r"12.0 degrees is too large, 10 is the most"):
        online_catalogues.fetch("atlas", Cone(10.0, 0.0, 12.0))
    double.answer = is_slow
    with pytest.raises(UnavailableError, match="did not answer"):
        online_catalogues.fetch("atlas", CONE)


@pytest.mark.parametrize(("band", "place", "name"), [
    ("r", (150.0, 20.0), "atlas"),
    ("V", (150.0, -70.0), "atlas"),
    ("U", (150.0, 20.0), "gaiadr3syn"),
    ("y", (150.0, 20.0), "gaiadr3syn"),
    ("Ks", (150.0, 20.0), "2mass"),
    ("G", (150.0, 20.0), "gaiaedr3"),
    ("F378", (150.0, 20.0), None),
])  # fmt: skip
@pytest.mark.usefixtures("double")
def test_the_catalogue_that_has_the_band_is_asked_for(
    band: str, place: tuple[float, float], name: str | None
) -> None:
    assert online_catalogues.suggested(band, place) == name


def test_frames_of_a_night_are_compared_with_fetched_stars_and_pages_fetch_none(
    double: VizierDouble,
) -> None:
    on_a_page = reference_stars.asker("r", None)
    assert list(on_a_page(*PLACE)) == []
    assert double.asked == []

    in_a_job = reference_stars.asker("r", None, Filler("r", lambda _said: None))
    (reference,) = in_a_job(*PLACE)  # once, though atlas would fall back on the same stars

    assert (reference.name, reference.band) == ("atlas-online", "r")
    assert len(on_a_page(*PLACE)) == 1


def test_answers_too_large_are_not_taken(
    double: VizierDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vizier, "MOST_BYTES", 100)

    with pytest.raises(BadCatalogueError, match="too large"):
        online_catalogues.fetch("atlas", CONE)


def test_stars_of_a_catalogue_and_those_fetched_for_its_gaps_are_tried_once_by_their_names(
    double: VizierDouble, tmp_path: Path
) -> None:
    load_local(tmp_path, covers="151,20,0.5")

    found = reference_stars.asker("r", None, Filler("r", lambda _said: None))(*PLACE)

    assert len(double.asked) == 1
    assert [one.name for one in found] == ["atlas-online", "atlas"]
    assert len(found[0].ra_deg) > 10
    assert len(found[1].ra_deg) == 1  # of those loaded


def test_an_answer_that_dribbles_is_not_waited_for_without_end(
    double: VizierDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vizier, "MOST_S", -1.0)

    with pytest.raises(UnavailableError, match="was not whole after"):
        online_catalogues.fetch("atlas", CONE)
    assert stored() == [".online-away"]


def test_nobody_waits_while_another_asks_and_the_same_sky_is_added_once(
    double: VizierDouble,
) -> None:
    said: list[str] = []

    def while_another_asks() -> str:
        double.answer = None
        said.append(online_catalogues.fetch("atlas", CONE))  # would wait for a lock if there was
        return votable(double.sky, [*double.sky[0]])

    double.answer = while_another_asks
    said.append(online_catalogues.fetch("atlas", CONE))

    assert said[0].startswith("VizieR gave ")
    assert said[1] == said[0].replace("VizieR gave", "VizieR was asked before and gave")
    facts = refcats.facts("atlas-online")
    assert facts is not None
    assert len(facts.sources) == 1


def test_who_adds_to_a_catalogue_waits_for_another_who_does(
    double: VizierDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    free = refcats.alone

    def noted(name: str, *, wait_s: float = 0.0) -> AbstractContextManager[None]:
        waited.append(wait_s)
        return free(name, wait_s=wait_s)

    monkeypatch.setattr(refcats, "alone", noted)

    online_catalogues.fetch("atlas", CONE)

    assert waited == [online_catalogues.MERGE_WAIT_S]
    assert waited[0] >= 600


def test_nothing_is_asked_where_it_would_be_too_much_or_there_is_no_room(
    double: VizierDouble, monkeypatch: pytest.MonkeyPatch, staff: User
) -> None:
    online_catalogues.fetch("atlas", CONE)
    facts = refcats.facts("atlas-online")
    assert facts is not None
    double.sky += stars_around(10.0, 5.0)
    monkeypatch.setattr(online_catalogues, "MOST_STARS", facts.rows)
    with pytest.raises(InvalidRequestError, match="are the most that are kept"):
        online_catalogues.fetch("atlas", Cone(10.0, 5.0, 0.2))
    monkeypatch.undo()
    vizierdouble.install(monkeypatch, double)
    gone = shutil.disk_usage("/")._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: gone)
    with pytest.raises(UnavailableError, match="are kept free"):
        online_catalogues.fetch("atlas", Cone(10.0, 5.0, 0.2))

    assert len(double.asked) == 1
    assert stored() == ["atlas-online/.asked.json"]


def test_an_answer_that_would_make_a_catalogue_too_large_is_not_added(
    double: VizierDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online_catalogues, "MOST_STARS", 5)

    with pytest.raises(InvalidRequestError, match="5 are the most that are kept"):
        online_catalogues.fetch("atlas", CONE)

    assert refcats.catalogues() == []


@pytest.mark.parametrize("damaged", [
    "null",
    "[1]",
    '{"a": 1}',
    "[[",
    '[{"ra_deg": "x", "dec_deg": 1, "radius_deg": 1, "depth_mag": 1, "n_stars": 1}]',
])  # fmt: skip
def test_where_what_was_asked_is_not_known_any_more_it_is_asked_again(
    double: VizierDouble, damaged: str
) -> None:
    online_catalogues.fetch("atlas", CONE)
    (paths.current().catalogues / "atlas-online" / ".asked.json").write_text(damaged)

    said = online_catalogues.fetch("atlas", CONE)

    assert len(double.asked) == 2
    assert said.startswith("VizieR gave ")


def test_one_chooses_among_catalogues_by_their_own_names(
    double: VizierDouble, tmp_path: Path, staff: User
) -> None:
    online_catalogues.fetch("atlas", CONE)
    assert catalogue_choice.names() == list(KNOWN)
    settings.change("catalogues", "online", False, by=staff)
    path = tmp_path / "own.csv"
    path.write_text("ra,dec,r\n150.01,20.01,15.0\n")
    request = refcats.Request("mine", [path], columns="ra=ra,dec=dec,r=r")
    refcats.load_files(request)

    assert catalogue_choice.names() == ["atlas", "mine"]
    with pytest.raises(InvalidRequestError, match="a name that ends in -online is kept for stars"):
        refcats.load_files(replace(request, name="mine-online"))
