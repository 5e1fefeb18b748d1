"""What a process of the program loads: one that serves pages, or reads RAW, has no kernels."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from flask import Flask

from app import paths
from app.services import browser_sessions
from tests.factories import make_user

# With what they bring, 150 MB and some seconds: compilers, statistics, plots, other formats.
HEAVY = frozenset(
    {
        *("numba", "llvmlite", "scipy", "matplotlib", "sklearn", "skimage", "pandas", "sep"),
        *("astropy", "astropy_healpix", "astroquery"),
    }
)

SAY = """
import json, sys
from reduction import kernels
loaded = {name.partition(".")[0] for name in sys.modules}
own = [name for name in sys.modules if name.startswith((kernels.__name__ + ".", "app."))]
print(json.dumps([*loaded, *own]))
"""

START = """
from app import create_app
app = create_app()
"""

# The first word is the command, the second what it is to say.
COMMAND = """
import contextlib, io, sys
from flask.cli import main
command, wanted = sys.argv[1:]
sys.argv = ["flask", "--app", "app", command]
said = io.StringIO()
with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
    main()
assert wanted in said.getvalue(), said.getvalue()
"""

# All that has an address of its own but the stream of events, which does not end; and a raw frame.
WALK = """
import sys
client = app.test_client()
with client.session_transaction() as session:
    session.update(key=sys.argv[1], csrf="c")
rules = [rule for rule in app.url_map.iter_rules() if "GET" in rule.methods]
pages = [rule.rule for rule in rules if not rule.arguments and rule.endpoint != "pages.events"]
pages += [f"/frames/1/{part}" for part in (
    "", "sky/", "thumbnail.png", "picture.json", "tiles/SCI/0/0/0.png", "pixel.json?x=3&y=4",
    "sources.json", "missed.json",
)]
told = {page: client.get(page).status_code for page in pages}
shown = [page for page, status in told.items() if status == 200]
failed = [page for page, status in told.items() if status >= 500 and page != "/healthz"]
assert not failed, failed
assert {"/", "/frames/", "/frames/1/", "/frames/1/thumbnail.png"} <= set(shown), shown
assert "/frames/1/tiles/SCI/0/0/0.png" in shown and len(shown) > 40, shown
"""


@pytest.fixture
def raw(app: Flask) -> Path:
    """A frame that has just been scanned."""
    pixels = np.arange(60 * 80, dtype=np.uint16).reshape(60, 80)
    hdu = fits.PrimaryHDU(pixels)
    hdu.header.update({"IMAGETYP": "OBJECT", "DATE-OBS": "2025-11-20T22:00:00", "EXPTIME": 3.0})
    path = paths.current().raw / "a.fits"
    hdu.writeto(path)
    an_hour_ago = path.stat().st_mtime - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))
    assert app.test_cli_runner().invoke(args=["scan"]).exit_code == 0
    return path


def loaded(app: Flask, script: str, *arguments: str) -> set[str]:
    """Return which packages, and modules of ours, a process of its own has loaded in the end."""
    environment = os.environ | {
        "COELOSTAT_INSTANCE": str(paths.current().instance),
        "DATABASE_URL": app.config["SQLALCHEMY_DATABASE_URI"],
    }
    done = subprocess.run(
        [sys.executable, "-c", script + SAY, *arguments],
        env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def heavy(found: set[str]) -> set[str]:
    return {name for name in found if name in HEAVY or name.startswith("reduction.kernels.")}


def test_pages_and_lists_are_served_without_kernels_and_what_takes_long_to_load(
    app: Flask, raw: Path
) -> None:
    key = browser_sessions.start(make_user("keeper", is_superuser=True), "Firefox/150.0")

    found = loaded(app, START + WALK, key)

    assert {"app", "flask", "numpy"} <= found
    assert heavy(found) == set()


def test_scan_of_an_unchanged_tree_loads_no_kernels_no_pages_and_no_migrations(
    app: Flask, raw: Path
) -> None:
    found = loaded(app, COMMAND, "scan", "0 new or changed")

    assert heavy(found) | (found & {"alembic", "app.pages"}) == set()


def test_commands_about_pages_have_them(app: Flask) -> None:
    assert "app.pages" in loaded(app, COMMAND, "routes", "/api/tasks/<int:task_id>/files/")
