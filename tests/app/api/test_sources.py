"""The calls for sources: what they answer, in which form, and how they refuse."""

import csv
import io
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.db import transaction
from app.models import Frame, Proposal, User
from app.services import settings, source_files
from tests.app.services.solvedframes import FIRST, make_showing, make_solved
from tests.conftest import client_of
from tests.factories import make_frame, make_user
from tests.reduction.photometry.sourcefiles import frame_at, of_before, table_of

PLACE = (10.0, 20.0)
HERE = {"ra": "10.0", "dec": "20.0", "radius": "5"}
WCS = frame_at(PLACE)


def found(client: FlaskClient, **asked: Any) -> dict[str, Any]:
    answer = client.get("/api/sources/", query_string=HERE | asked)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.get_json()
    return page


def test_a_search_tells_the_sources_and_their_frames(client: FlaskClient) -> None:
    first = make_showing(*PLACE, WCS, mid_utc=FIRST, exptime_s=30.0, limit_mag=20.5)
    second = make_showing(*PLACE, WCS, mid_utc=FIRST + timedelta(days=1), night=None)

    page = found(client)

    assert (page["count"], page["next"], page["without_sources"]) == (2, None, [])
    assert [frame["id"] for frame in page["frames"]] == [first.id, second.id]
    assert page["frames"][0] == {
        "id": first.id,
        "file_name": first.file_name,
        "night": "2026-11-20",
        "mjd": 61364.916666667,
        "band": "r",
        "exptime_s": 30.0,
        "limit_mag": 20.5,
        "outdated": None,
    }
    row = page["results"][1]
    assert (row["frame"], row["number"], row["mag"], row["is_clean"]) == (second.id, 0, 18.0, True)
    assert row["mjd"] == page["frames"][1]["mjd"] == 61365.916666667
    assert row["ra_deg"] == pytest.approx(10.0, abs=1e-9)
    assert row["sep_arcsec"] == pytest.approx(0.0, abs=1e-5)
    assert row["cat_mag"] is None  # not known
    assert (row["mag_psf"], row["kind"]) == (18.0, "star")


def test_frames_of_before_answer_beside_newer_ones_with_what_they_have(client: FlaskClient) -> None:
    make_showing(*PLACE, WCS, mid_utc=FIRST)
    x, y = WCS.pixel(np.array([10.0]), np.array([20.0]))
    older = make_solved(WCS, of_before(table_of(WCS, x, y)), mid_utc=FIRST + timedelta(days=1))

    rows = found(client)["results"]
    text = client.get("/api/sources/", query_string=HERE | {"format": "csv"}).text
    alone = client.get(f"/api/sources/{older.id}/?format=csv")

    assert [row["kind"] for row in rows] == ["star", None]
    assert [row["mag_psf"] for row in rows] == [18.0, None]
    assert [row["mag"] for row in rows] == [18.0, 18.0]
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [(line["kind"], line["mag_psf"]) for line in lines] == [("star", "18"), ("", "")]
    assert alone.status_code == 200
    assert "kind" not in next(csv.reader(io.StringIO(alone.text)))


def test_frames_that_show_a_place_are_told_with_sources_there_or_without(
    client: FlaskClient,
) -> None:
    there = make_showing(*PLACE, WCS, mid_utc=FIRST)
    bare = make_solved(WCS, None, mid_utc=FIRST + timedelta(days=1), band="g")
    make_showing(12.0, 20.0, frame_at((12.0, 20.0)))

    place = {"ra": "00:40:00", "dec": "20"}
    page = client.get("/api/sources/frames/", query_string=place).get_json()
    green = client.get("/api/sources/frames/", query_string=place | {"band": "g"}).get_json()
    late = client.get("/api/sources/frames/", query_string=place | {"end": "2026-11-20"}).get_json()

    assert page["count"] == 2
    assert [frame["id"] for frame in page["frames"]] == [there.id, bare.id]
    assert page["frames"][1]["mjd"] == 61365.916666667
    assert [frame["id"] for frame in green["frames"]] == [bare.id]
    assert [frame["id"] for frame in late["frames"]] == [there.id]


@pytest.mark.parametrize(
    ("asked", "field"), [({"ra": ""}, "ra"), ({"dec": "-91"}, "dec"), ({"radius": "3"}, "radius")]
)
def test_frames_at_no_place_are_refused_by_field(
    client: FlaskClient, asked: dict[str, str], field: str
) -> None:
    place = {"ra": "10", "dec": "20"}
    answer = client.get("/api/sources/frames/", query_string=place | asked)

    assert answer.status_code == 400
    assert list(answer.get_json()) == [field]


def test_a_band_nobody_knows_is_refused_with_those_there_are(
    app: Flask, client: FlaskClient
) -> None:
    make_showing(*PLACE, WCS, band="r")
    make_showing(*PLACE, WCS, band="Lum")

    answer = client.get("/api/sources/", query_string=HERE | {"band": "rr"})

    assert answer.status_code == 400
    assert "those of the frames here: Lum, r" in answer.get_json()["band"][0]
    assert found(client, band="Lum")["count"] == 1
    assert found(client, band="i")["count"] == 0  # a filter nobody used yet


@pytest.mark.parametrize(
    ("ra", "dec"), [("10", "20"), ("00:40:00", "+20:00:00"), ("0h40m00s", "20 00 00")]
)
def test_a_place_may_be_given_in_degrees_or_in_sexagesimal_fields(
    client: FlaskClient, ra: str, dec: str
) -> None:
    make_showing(*PLACE, WCS)

    assert found(client, ra=ra, dec=dec)["count"] == 1


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({"band": "g"}, 0),
        ({"band": "r"}, 1),
        ({"start": "2026-11-21"}, 0),
        ({"end": "2026-11-20"}, 1),  # the whole day
        ({"end": "2026-11-20T21:00:00"}, 0),
        ({"end": "2026-11-20T21:30:00-02:00"}, 1),
        ({"start": "61364.9", "end": "61365"}, 1),
        ({"start": "61365"}, 0),
        ({"radius": "0"}, 0),
        ({"radius": ""}, 1),
    ],
)
def test_band_period_and_radius_are_honoured(
    client: FlaskClient, asked: dict[str, str], wanted: int
) -> None:
    make_showing(10.0, 20.0 + 1 / 3600, WCS, mid_utc=FIRST)

    assert found(client, **asked)["count"] == wanted


@pytest.mark.parametrize(
    ("asked", "field", "said"),
    [
        ({"ra": ""}, "ra", "is needed"),
        ({"ra": "north"}, "ra", "must be degrees, or like 07:38:25.4"),
        ({"ra": "nan"}, "ra", "must be degrees"),
        ({"dec": "inf"}, "dec", "finite"),
        ({"dec": "91"}, "dec", "beyond a pole"),
        ({"radius": "3601"}, "radius", "from 0 to 3600"),
        ({"radius": "-1"}, "radius", "from 0 to 3600"),
        ({"radius": "wide"}, "radius", "must be a number"),
        ({"start": "yesterday"}, "start", "must be a date such as"),
        ({"start": "20261120"}, "start", "must be a date such as"),
        ({"end": "0001-01-01T00:00:00+14:00"}, "end", "must be a date such as"),
        ({"limit": "0"}, "limit", "from 1 to"),
        ({"limit": "1000000"}, "limit", "from 1 to"),
        ({"after": "there"}, "after", "where a page of this search ended"),
        ({"format": "xml"}, "format", "must be json or csv"),
        ({"centre": "10"}, "centre", "is not known here"),
        ({"band": "r\0"}, "band", "not text"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_field(
    client: FlaskClient, asked: dict[str, str], field: str, said: str
) -> None:
    answer = client.get("/api/sources/", query_string=HERE | asked)

    assert answer.status_code == 400
    assert list(answer.get_json()) == [field]
    assert said in answer.get_json()[field][0]


def test_pages_lead_to_one_another(client: FlaskClient) -> None:
    made = [make_showing(*PLACE, WCS) for _ in range(3)]
    page = found(client, limit=2)
    seen = [row["frame"] for row in page["results"]]

    answer = client.get(page["next"])

    assert [row["frame"] for row in answer.get_json()["results"]] == [made[2].id]
    assert seen == [made[0].id, made[1].id]
    assert answer.get_json()["next"] is None


def test_a_search_as_text_has_a_line_for_each_source_and_blanks_for_what_is_not_known(
    client: FlaskClient,
) -> None:
    frame = make_showing(*PLACE, WCS)
    make_showing(*PLACE, WCS, mid_utc=None, exptime_s=None)

    answer = client.get("/api/sources/", query_string=HERE | {"format": "csv", "limit": 1})

    assert answer.content_type == "text/csv; charset=utf-8"
    assert 'rel="next"' in answer.headers["Link"]
    (undated,) = csv.DictReader(io.StringIO(answer.text))
    assert (undated["mjd"], undated["exptime_s"], undated["cat_mag"]) == ("", "", "")
    rest = client.get(answer.headers["Link"].partition(">")[0].lstrip("<")).text
    (row,) = csv.DictReader(io.StringIO(rest))
    assert (row["frame"], row["file_name"]) == (str(frame.id), frame.file_name)
    assert (row["mag"], row["is_clean"], row["number"]) == ("18", "true", "0")


@pytest.mark.parametrize("wanted", ["json", "csv"])
def test_a_place_nobody_looked_at_is_an_empty_answer(client: FlaskClient, wanted: str) -> None:
    answer = client.get("/api/sources/", query_string=HERE | {"format": wanted})

    assert answer.status_code == 200
    if wanted == "json":
        assert answer.get_json()["results"] == answer.get_json()["frames"] == []
    else:
        assert len(answer.text.splitlines()) == 1


def test_strangers_are_refused(stranger: FlaskClient) -> None:
    answer = stranger.get("/api/sources/", query_string=HERE)

    assert answer.status_code == 401
    assert answer.get_json() == {"detail": "Authentication credentials were not provided."}


def test_the_table_of_a_frame_is_sent_whole(client: FlaskClient) -> None:
    rng = np.random.default_rng(5)
    table = table_of(WCS, rng.uniform(0, 399, 200), rng.uniform(0, 299, 200))
    frame = make_solved(WCS, table)

    with client.get(f"/api/sources/{frame.id}/") as whole:
        content, disposition = whole.get_data(), whole.headers["Content-Disposition"]
    text = client.get(f"/api/sources/{frame.id}/?format=csv")

    assert f"{frame.file_name.removesuffix('.fits')}.sources.parquet" in disposition
    assert pq.read_table(io.BytesIO(content)).column_names == table.names
    rows = list(csv.DictReader(io.StringIO(text.text)))
    assert list(rows[0]) == table.names
    assert [float(row["ra_deg"]) for row in rows] == table["ra_deg"].tolist()


def test_a_frame_without_sources_is_said_to_have_none(client: FlaskClient) -> None:
    bare, raw = make_solved(WCS, None), make_frame()

    for frame, said in ((bare, "no sources are kept"), (raw, "is no reduced frame")):
        answer = client.get(f"/api/sources/{frame.id}/")
        assert answer.status_code == 404
        assert said in answer.get_json()["detail"]
    assert client.get("/api/sources/999999/").status_code == 404
    assert client.get(f"/api/sources/{bare.id}/?format=fits").status_code == 400


def test_a_damaged_table_is_said_to_be_so(client: FlaskClient) -> None:
    frame = make_showing(*PLACE, WCS)
    source_files.path_of(frame).write_bytes(b"PAR1")

    answer = client.get(f"/api/sources/{frame.id}/?format=csv")

    assert answer.status_code == 404
    assert "process its block again" in answer.get_json()["detail"]
    assert found(client)["without_sources"] == [frame.id]


@pytest.fixture
def secret(app: Flask, staff: User) -> tuple[Frame, FlaskClient]:
    """A frame of a proposal, where members see their own alone; and the client of its member."""
    settings.change("access", "visibility", "members", by=staff)
    member = make_user("member")
    with transaction():
        proposal = Proposal(code="2026B-01", title="", pi_id=member.id)
        proposal_id = _added(proposal)
    frame = make_showing(*PLACE, WCS, proposal_id=proposal_id)
    return frame, client_of(app, member)


def _added(proposal: Proposal) -> int:
    from app.db import db

    db.session.add(proposal)
    db.session.flush()
    return proposal.id


def test_a_hidden_frames_sources_are_told_nobody_else_in_no_form(
    secret: tuple[Frame, FlaskClient], client: FlaskClient
) -> None:
    frame, member = secret
    path = source_files.path_of(frame)

    assert found(client) == {
        "count": 0,
        "next": None,
        "frames": [],
        "without_sources": [],
        "results": [],
    }
    assert client.get(f"/api/sources/{frame.id}/").get_json() == {
        "detail": f"there is no frame {frame.id}"
    }
    assert found(member)["count"] == 1
    for address in (f"/api/sources/{frame.id}/", f"/media/{source_files.relative(path)}"):
        assert status(client, address) == 404
        assert status(member, address) == 200


def status(client: FlaskClient, address: str) -> int:
    with client.get(address) as answer:
        return answer.status_code


def test_sources_of_no_frame_are_sent_to_those_alone_who_see_every_frame(
    secret: tuple[Frame, FlaskClient], client: FlaskClient, staff_client: FlaskClient
) -> None:
    frame, member = secret
    path = source_files.path_of(frame)
    orphan = path.with_name(path.name.replace("science", "orphan"))
    orphan.write_bytes(path.read_bytes())

    address = f"/media/{source_files.relative(orphan)}"

    assert [status(one, address) for one in (client, member, staff_client)] == [404, 404, 200]


def test_bands_of_hidden_frames_are_not_told(
    secret: tuple[Frame, FlaskClient], client: FlaskClient
) -> None:
    frame, member = secret

    theirs, ours = (
        one.get("/api/sources/", query_string=HERE | {"band": "rr"}) for one in (client, member)
    )

    assert "none yet" in theirs.get_json()["band"][0]
    assert f"frames here: {frame.band}" in ours.get_json()["band"][0]
