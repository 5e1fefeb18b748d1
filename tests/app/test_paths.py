"""Paths that come from outside stay inside; paths that go out are relative."""

from pathlib import Path

import pytest

from app.errors import NotFoundError
from app.paths import Paths, safe_join


@pytest.fixture
def places(tmp_path: Path) -> Paths:
    places = Paths(instance=tmp_path / "instance", raw=tmp_path / "telescope")
    places.make()
    places.raw.mkdir()
    return places


@pytest.mark.parametrize(
    "untrusted",
    ["../secret_key", "a/../../x", "/../x", "a\0b", "x" * 300, "y/" * 3000, "../data_evil/x"],
)
def test_path_that_would_leave_its_root_does_not_exist(places: Paths, untrusted: str) -> None:
    with pytest.raises(NotFoundError):
        safe_join(places.data, untrusted)


def test_link_that_leaves_its_root_does_not_exist(places: Paths) -> None:
    (places.data / "out").symlink_to("/etc")
    (places.data / "loop").symlink_to(places.data / "loop")

    for untrusted in ("out/passwd", "loop/x"):
        with pytest.raises(NotFoundError):
            safe_join(places.data, untrusted)


def test_raw_appears_under_its_name_in_the_data_root(places: Paths) -> None:
    assert places.locate("RAW/night/x.fits") == places.raw / "night" / "x.fits"
    assert places.relative(places.raw / "night" / "x.") == "RAW/night/x."
    assert places.relative(places.raw) == "RAW"
    assert places.relative(places.data / "MASTERS" / "b.fits") == "MASTERS/b.fits"


def test_data_root_may_be_a_link_to_another_disk(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "data").symlink_to(tmp_path / "disk")
    places = Paths(instance=tmp_path / "instance", raw=tmp_path / "telescope")

    assert places.relative(places.locate("THUMBS/x.png")) == "THUMBS/x.png"
