"""STDWeb's documented examples, as they are printed, run by real clients on a real server.

Repaired in them is only what the printed page allows: host, credentials and lost indentation.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.db import db
from app.jobs import runner
from app.models import Task
from app.services import refcats
from reduction.cards import ProductCard
from reduction.imagewrite import write_image
from tests.app.jobs.skynight import EXPTIME_S, PLACE, SCALE_ARCSEC, TRUTH, ZERO_POINT_MAG, stars
from tests.factories import make_user
from tests.reduction.photometry.stars import Sky

QUICK_EXAMPLE = r"""
# Get token
TOKEN=$(curl -s -X POST http://localhost:8000/api/auth/token/ \
-d "username=myuser&password=mypass" | jq -r .token)
# Upload and create task
TASK_ID=$(curl -s -X POST http://localhost:8000/api/tasks/ \
-H "Authorization: Token $TOKEN" \
-F "file=@image.fits" \
-F 'config={"filter":"R"}' | jq -r .id)
# Run processing
curl -X POST "http://localhost:8000/api/tasks/$TASK_ID/process/" \
-H "Authorization: Token $TOKEN" \
-H "Content-Type: application/json" \
-d '{"steps":["inspect","photometry"]}'
# Check status
curl "http://localhost:8000/api/tasks/$TASK_ID/" \
-H "Authorization: Token $TOKEN"
"""

PYTHON_CLIENT = """
import requests
BASE_URL = "http://localhost:8000/api"
# Authenticate
response = requests.post(f"{BASE_URL}/auth/token/",
data={"username": "myuser", "password": "mypass"})
token = response.json()["token"]
session = requests.Session()
session.headers["Authorization"] = f"Token {token}"
# Upload file
with open("image.fits", "rb") as f:
    response = session.post(f"{BASE_URL}/tasks/",
    files={"file": f},
    data={"config": '{"filter": "R"}'})
task_id = response.json()["id"]
# Process
session.post(f"{BASE_URL}/tasks/{task_id}/process/",
json={"steps": ["inspect", "photometry"]})
# Get results
task = session.get(f"{BASE_URL}/tasks/{task_id}/").json()
print(f"Zero point: {task['config'].get('zp')}")
"""
_WAIT: Final = "# Get results\n"
PASSWORD: Final = "night-sky-7"


@pytest.fixture
def sky() -> Sky:
    return stars()


@pytest.fixture
def folder(app: Flask, tmp_path: Path, sky: Sky, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the scripts are run: an image.fits of stars that the site's catalogue knows."""
    cards: list[ProductCard] = [
        ("RA", PLACE[0], ""),
        ("DEC", PLACE[1], ""),
        ("EXPTIME", EXPTIME_S, ""),
        ("GAIN", 1.0, ""),
        ("DATE-OBS", "2026-11-20T23:00:00", ""),
        ("FOCALLEN", round(206.26480625 * 10.0 / SCALE_ARCSEC, 3), ""),
        ("XPIXSZ", 10.0, ""),
    ]
    write_image(tmp_path / "image.fits", sky.image.data, cards)
    ra, dec = TRUTH.sky(sky.x, sky.y)
    mag = ZERO_POINT_MAG - 2.5 * np.log10(sky.flux / EXPTIME_S)
    table = tmp_path / "stars.csv"
    rows = np.column_stack([ra, dec, mag, np.full(len(mag), 0.005)])
    np.savetxt(table, rows, delimiter=",", header="ra,dec,R,R_err", comments="", fmt="%.8f")
    refcats.load_files(
        refcats.Request(
            "gaiadr3syn",
            [table],
            columns="ra=ra,dec=dec,R=R,R_err=R_err",
            system="UBVRI",
            covers=(f"{PLACE[0]},{PLACE[1]},1.5",),
        )
    )
    make_user("myuser", PASSWORD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _jq(folder: Path) -> Path:
    """Make a jq for machines without one, that knows as much of it as the example uses."""
    made = folder / "bin" / "jq"
    made.parent.mkdir()
    made.write_text(
        f"#!{sys.executable}\nimport json, sys\nprint(json.load(sys.stdin)[sys.argv[2][1:]])\n"
    )
    made.chmod(0o755)
    return made


def repaired(script: str, origin: str) -> str:
    return script.replace("http://localhost:8000", origin).replace("mypass", PASSWORD)


def expected_zero_point() -> float:
    """Of light a second, as the truth is; an image's own zero point is of its counts."""
    return float(ZERO_POINT_MAG + 2.5 * np.log10(EXPTIME_S))


def test_python_client_runs_as_printed_and_prints_the_zero_point_once_it_waits(
    folder: Path, origin: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {"work_off": runner.work_off}
    script = repaired(PYTHON_CLIENT, origin)

    exec(compile(script, "the printed client", "exec"), names)  # noqa: S102 - typed in above
    names["session"].close()
    at_once = capsys.readouterr().out
    waiting = script.replace(_WAIT, "work_off()\n" + _WAIT)
    exec(compile(waiting, "the client with a wait", "exec"), names)  # noqa: S102
    names["session"].close()

    assert at_once == "Zero point: None\n"
    said = capsys.readouterr().out
    assert float(said.removeprefix("Zero point: ")) == pytest.approx(expected_zero_point(), abs=0.1)
    config = names["task"]["config"]
    assert names["task"]["state"] == "photometry_done"
    assert (config["field_ra"], config["field_dec"]) == pytest.approx(PLACE, abs=0.02)
    assert config["zp_err"] < 0.05


@pytest.mark.skipif(shutil.which("curl") is None, reason="the printed example uses curl")
def test_quick_example_runs_as_printed(folder: Path, origin: str) -> None:
    environ = {**os.environ, "PATH": f"{os.environ['PATH']}:{_jq(folder).parent}"}

    done = subprocess.run(
        ["sh", "-c", repaired(QUICK_EXAMPLE, origin)],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )

    assert '"state":"running"' in done.stdout.replace(" ", "")
    task = db.session.query(Task).one()
    assert (task.owner.username, task.config["filter"]) == ("myuser", "R")


def test_documented_products_are_there_to_fetch(folder: Path, client: FlaskClient) -> None:
    with (folder / "image.fits").open("rb") as image:
        made = client.post("/api/tasks/", data={"file": image, "config": '{"filter": "R"}'})
    address = f"/api/tasks/{made.get_json()['id']}"
    client.post(f"{address}/process/", json={"steps": ["inspect", "photometry"]})
    runner.work_off()

    for name in ("objects.vot", "objects.parquet", "cat.parquet", "photometry.log", "image.wcs"):
        with client.get(f"{address}/files/{name}") as response:
            assert response.status_code == 200, name
            assert response.data
