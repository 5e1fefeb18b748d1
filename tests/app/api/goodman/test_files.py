"""The archive face: list, filters, pages, header, download."""

from datetime import date
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from app import paths
from app.db import db, transaction
from app.models import Frame, FrameParent, Group, Proposal, User
from app.services import numbered, settings
from tests.factories import make_frame

RECORD_TYPES: dict[str, type | tuple[type, ...]] = {
    "id": int,
    "created": str,
    "last_modified": str,
    "original_file": str,
    "original_file_id": int,
    "parent_file": str,
    "parent_file_id": int,
    "file_name": str,
    "directory_name": str,
    "full_path": str,
    "obstype": str,
    "object": str,
    "filter": str,
    "filter_2": str,
    "grating": str,
    "slit": str,
    "cam_targ": str,
    "grt_targ": str,
    "obsra": str,
    "obsdec": str,
    "gain": str,
    "rdnoise": str,
    "roi": str,
    "wavmode": str,
    "proposal_id": str,
    "observation_id": (int, type(None)),
    "configuration_id": (int, type(None)),
    "block_id": (int, type(None)),
    "image_id": (int, type(None)),
    "date": str,
    "data_type": str,
    "normalized": bool,
    "technique": str,
    "saturation_value": (int, type(None)),
}


def listed(client: FlaskClient, query: str = "", prefix: str = "/api") -> dict[str, Any]:
    response = client.get(f"{prefix}/files/{query}")
    assert response.status_code == 200, response.get_data(as_text=True)
    answer: dict[str, Any] = response.get_json()
    return answer


def ids(answer: dict[str, Any]) -> list[int]:
    return [row["id"] for row in answer["results"]]


def test_record_has_the_documented_keys_and_types(client: FlaskClient) -> None:
    make_frame(saturation_adu=49928.4, gain_e_per_adu=1.4, extras={"image_id": 1, "slit": "1.0"})

    record = listed(client)["results"][0]

    assert list(record) == list(RECORD_TYPES)
    assert {k for k, kind in RECORD_TYPES.items() if not isinstance(record[k], kind)} == set()
    assert record["saturation_value"] == 49928
    assert record["gain"] == "1.4"
    assert record["image_id"] == 1


def test_newest_come_first_twenty_a_page_and_next_keeps_filters_and_prefix(
    client: FlaskClient,
) -> None:
    frames = [make_frame(level=0).id for _ in range(45)]
    make_frame(level=1)

    first = listed(client, "?data_type=0", prefix="/gsp/api")
    last = listed(client, "?data_type=0&page=3")

    assert first["count"] == 45
    assert ids(first) == sorted(frames, reverse=True)[:20]
    assert first["next"] == "http://localhost/gsp/api/files/?data_type=0&page=2"
    assert first["previous"] is None
    assert ids(last) == sorted(frames)[:5][::-1]
    assert last["next"] is None
    assert last["previous"].endswith("page=2")


def test_page_that_is_not_there_is_not_found(client: FlaskClient) -> None:
    response = client.get("/api/files/?page=2")

    assert response.status_code == 404
    assert response.get_json() == {"detail": "Invalid page."}


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("obstype=arc", {"kind": "arc"}),
        ("obstype=COMP", {"extras": {"obstype": "COMP"}}),
        ("filter=v", {"band": "V"}),
        ("filter_2=gg455", {"extras": {"filter_2": "GG455"}}),
        ("grating=400_SYZY", {"extras": {"grating": "400_SYZY"}}),
        ("wavmode=400_M1", {"extras": {"wavmode": "400_M1"}}),
        ("slit=1.0_LONG_SLIT", {"extras": {"slit": "1.0_LONG_SLIT"}}),
        ("roi=Spectroscopic 2x2", {"extras": {"roi": "Spectroscopic 2x2"}}),
        ("technique=Spectroscopy", {"technique": "spectroscopy"}),
        ("date=2026-11-19", {"night": date(2026, 11, 19)}),
        ("object=ngc 1", {"object_name": "NGC 1566"}),
        ("proposal_id=SO-1", {"proposal_code": "SO-1"}),
        ("file_name=special", {"file_name": "a_special_one.fits"}),
        ("data_type=2", {"level": 2}),
    ],
)
def test_filter_finds_what_it_names_and_nothing_else(
    client: FlaskClient, query: str, values: dict[str, Any]
) -> None:
    make_frame(band="g", object_name="M 31")
    wanted = make_frame(**{"band": "g", "object_name": "M 31"} | values)

    assert ids(listed(client, f"?{query}")) == [wanted.id]


def test_products_are_found_by_what_they_were_made_from(client: FlaskClient) -> None:
    raw, product = make_frame(), make_frame(level=2)
    make_frame()
    with transaction():
        db.session.add(FrameParent(child_id=product.id, parent_id=raw.id, role="raw"))

    answer = listed(client, f"?parent_file_id={raw.id}")

    assert ids(answer) == [product.id, raw.id]
    assert answer["results"][0]["original_file"] == raw.file_name


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("data_type=9", "data_type"),
        ("date=yesterday", "date"),
        ("parent_file_id=x", "parent_file_id"),
        ("technique=magic", "technique"),
        ("page=-1", "page"),
        ("nonsense=1", "nonsense"),
    ],
)
def test_filter_that_cannot_be_read_is_refused_by_name(
    client: FlaskClient, query: str, field: str
) -> None:
    response = client.get(f"/api/files/?{query}")

    assert response.status_code == 400
    assert list(response.get_json()) == [field]


def test_stranger_learns_nothing(stranger: FlaskClient) -> None:
    make_frame()

    for address in ("/api/", "/api/files/", "/gsp/api/files/", "/api/files/header/?id=1"):
        response = stranger.get(address)
        assert response.status_code == 401
        assert response.get_json() == {"detail": "Authentication credentials were not provided."}


def with_file(app: Flask, content: bytes = b"SIMPLE") -> Frame:
    text = "\n".join(["SIMPLE  =                    T / standard", "OBJECT  = 'M 31    '"])
    frame = make_frame(header_text=text)
    path = paths.current().raw / "2026-11-20" / frame.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return frame


def test_header_gives_cards_with_comments(app: Flask, client: FlaskClient) -> None:
    frame = with_file(app)

    by_id = client.get(f"/api/files/header/?id={frame.id}").get_json()
    by_name = client.get(f"/api/files/header/?file_name={frame.file_name}").get_json()

    assert by_id["cards"] == [
        {"keyword": "SIMPLE", "value": True, "comment": "standard"},
        {"keyword": "OBJECT", "value": "M 31", "comment": ""},
    ]
    assert by_name == by_id


def test_header_of_nothing_is_refused(client: FlaskClient) -> None:
    assert client.get("/api/files/header/").status_code == 400
    assert client.get("/api/files/header/?id=77").status_code == 404


def test_download_sends_the_bytes_and_a_lost_file_is_a_clear_404(
    app: Flask, client: FlaskClient
) -> None:
    frame = with_file(app, b"the bytes")

    here = client.get(f"/api/files/{frame.id}/download/", buffered=True)
    (paths.current().raw / "2026-11-20" / frame.file_name).unlink()
    gone = client.get(f"/api/files/{frame.id}/download/")

    assert here.data == b"the bytes"
    assert frame.file_name in here.headers["Content-Disposition"]
    assert gone.status_code == 404
    assert "not there" in gone.get_json()["detail"]


def test_picture_of_a_real_file_is_a_png_of_the_width_asked(
    app: Flask, client: FlaskClient
) -> None:
    frame = make_frame(nx=64, ny=48)
    path = paths.current().raw / "2026-11-20" / frame.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.arange(64 * 48, dtype=np.int16).reshape(48, 64)
    fits.PrimaryHDU(pixels).writeto(path)

    answer = client.get(f"/api/files/visualize/?id={frame.id}&width=32&stretch=log&cmap=viridis")

    assert answer.mimetype == "image/png"
    with Image.open(BytesIO(answer.data)) as picture:
        assert picture.size == (32, 24)


@pytest.mark.parametrize("query", ["width=x", "width=-1", "stretch=magic", "cmap=nope"])
def test_picture_that_cannot_be_made_is_refused_by_the_parameters_name(
    client: FlaskClient, query: str
) -> None:
    frame = make_frame()

    answer = client.get(f"/api/files/visualize/?id={frame.id}&{query}")

    assert answer.status_code == 400
    assert list(answer.get_json()) == [query.partition("=")[0]]


def test_count_follows_at_once_who_may_see_what(
    client: FlaskClient, observer: User, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbered, "KEEP_S", 1000.0)
    settings.change("access", "visibility", "members", by=staff)
    with transaction():
        proposal = Proposal(code="2026B-001", members=[observer])
        db.session.add(proposal)
    make_frame(proposal_id=proposal.id)
    counts = [listed(client)["count"]]

    def then(**values: Any) -> None:
        with transaction():
            for name, value in values.items():
                setattr(proposal, name, value)
        counts.append(listed(client)["count"])

    then(members=[])
    then(groups=[Group(name="class", members=[observer])])
    then(groups=[])
    then(proprietary_days=0)
    then(proprietary_days=None)
    settings.change("access", "proprietary_days", 0, by=staff)
    counts.append(listed(client)["count"])
    settings.change("access", "proprietary_days", 365, by=staff)
    settings.change("access", "visibility", "everyone", by=staff)
    counts.append(listed(client)["count"])

    assert counts == [1, 0, 1, 0, 1, 0, 1, 1]
