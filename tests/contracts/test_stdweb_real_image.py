"""STDWeb's printed examples on the whole program, with its worker, and a real image of a camera."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from app.services import refcats
from tests.contracts.test_stdweb_examples import PYTHON_CLIENT, QUICK_EXAMPLE
from tests.faults.program import Program, served
from tests.realdata import needs_shared, shared

SETTINGS = """
[server]
workers = 1
[scan]
watch = false
"""
# NGC 2420 in V, 60 s; its header points 18 arcminutes away and holds no place on the sky.
IMAGE = ("data", "RAW", "2021-03-28", "uamA_0031.fits")
STARS = ("data", "truth", "ngc2420", "sdss_dr18_ngc2420.csv")
CENTRE = (114.6016, 21.5726)
PATIENCE_S = 600

pytestmark = [pytest.mark.slow, needs_shared]


@pytest.fixture(scope="module")
def program(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Program]:
    with served(tmp_path_factory.mktemp("stdweb"), pytestconfig, SETTINGS, workers=1) as made:
        with made.context():
            load_stars()
        yield made


def load_stars() -> None:
    columns = "ra=ra_deg,dec=dec_deg,g=g,r=r,B=B_lupton05,V=V_lupton05"
    systems = "g=SDSS,r=SDSS,B=Johnson,V=Johnson"
    covers = [f"{CENTRE[0]},{CENTRE[1]},0.23"]
    refcats.load_files(
        refcats.Request("sdss", [shared(*STARS)], columns, system=systems, covers=covers)
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds what the examples call image.fits."""
    shutil.copyfile(shared(*IMAGE), tmp_path / "image.fits")
    return tmp_path


def repaired(text: str, program: Program) -> str:
    return (
        text.replace("localhost:8000", f"127.0.0.1:{program.port}")
        .replace("myuser", "admin")
        .replace("mypass", program.environ["COELOSTAT_ADMIN_PASSWORD"])
    )


def waited_for(task_url: str, token: str) -> dict[str, Any]:
    """Return a task when nothing runs on it any more."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = requests.get(task_url, headers={"Authorization": f"Token {token}"}, timeout=60)
        task: dict[str, Any] = answer.json()
        if task["celery_id"] is None:
            return task
        assert time.monotonic() < deadline, task
        time.sleep(0.5)


def check_measured(task: dict[str, Any]) -> None:
    config = task["config"]
    assert task["state"] == "photometry_done"
    assert config["zp"] == pytest.approx(27.0, abs=1.5)  # of 60 s in one image, V taken for R
    assert 0 < config["zp_err"] < 0.1
    assert config["field_ra"] == pytest.approx(CENTRE[0], abs=0.02)
    assert config["field_dec"] == pytest.approx(CENTRE[1], abs=0.02)
    assert config["filter"] == "R"


def test_python_client_runs_as_printed_and_after_a_wait_prints_the_zero_point(
    program: Program,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}

    exec(compile(repaired(PYTHON_CLIENT, program), "the printed client", "exec"), names)  # noqa: S102

    assert capsys.readouterr().out.startswith("Zero point: ")  # it does not wait
    check_measured(waited_for(f"{names['BASE_URL']}/tasks/{names['task_id']}/", names["token"]))
    last = PYTHON_CLIENT.partition("# Get results")[2]
    exec(compile(last, "its last lines", "exec"), names)  # noqa: S102
    assert 25 < float(capsys.readouterr().out.removeprefix("Zero point: ")) < 29
    names["session"].close()


def test_quick_example_runs_as_printed_in_a_shell(program: Program, folder: Path) -> None:
    if shutil.which("jq") is None or shutil.which("curl") is None:
        pytest.skip("curl and jq are not here")
    script = repaired(QUICK_EXAMPLE, program) + "\necho; echo $TOKEN $TASK_ID\n"

    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
        timeout=300,
    )

    token, task_id = done.stdout.split()[-2:]
    url = f"http://127.0.0.1:{program.port}/api/tasks/{task_id}/"
    check_measured(waited_for(url, token))
    headers = {"Authorization": f"Token {token}"}
    names = {
        one["name"] for one in requests.get(f"{url}files/", headers=headers, timeout=60).json()
    }
    assert {"objects.vot", "objects.parquet", "cat.parquet", "image.wcs", "mask.fits"} <= names
    assert {"photometry.log", "inspect.log", "photometry.png", "limit_sn.png"} <= names
    assert not any(name.endswith(".pickle") for name in names)
