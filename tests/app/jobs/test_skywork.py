"""What the place and the light of frames hang on."""

from pathlib import Path

import pytest

from app.jobs.skywork import SkyWork
from app.models import User
from app.services import online_catalogues, refcats, settings
from reduction.refcat.regions import Cone
from tests.app.services import vizierdouble
from tests.app.services.vizierdouble import VizierDouble, stars_around


def key() -> str:
    return SkyWork.of("am", has_psf=False).key


@pytest.mark.usefixtures("app")
def test_what_is_fetched_for_one_frame_has_no_other_done_again_and_what_is_loaded_has(
    monkeypatch: pytest.MonkeyPatch, staff: User, tmp_path: Path
) -> None:
    vizierdouble.install(monkeypatch, VizierDouble(stars_around(150.0, 20.0)))
    settings.change("catalogues", "online", True, by=staff)
    before = key()

    online_catalogues.fetch("atlas", Cone(150.0, 20.0, 0.2))

    assert refcats.facts("atlas-online") is not None
    assert key() == before

    path = tmp_path / "own.csv"
    path.write_text("ra,dec,r\n150.01,20.01,15.0\n")
    refcats.load_files(refcats.Request("mine", [path], columns="ra=ra,dec=dec,r=r"))

    assert key() != before
