from dataclasses import replace
from pathlib import Path
from typing import Any

from flask import Flask

from app.services import task_guesses
from app.services.task_guesses import Plane
from reduction.fitsio import write_product
from reduction.headers import reduced_cards
from tests.app.services.rawfiles import fits_bytes
from tests.reduction.headers.test_product import INFO, PROVENANCE, image, reduced


def written(tmp_path: Path, **cards: Any) -> Path:
    path = tmp_path / "image.fits"
    path.write_bytes(fits_bytes(**cards))
    return path


def test_values_come_with_the_card_they_stand_on(app: Flask, tmp_path: Path) -> None:
    path = written(tmp_path, EGAIN=1.75, FILTER="V")

    found = task_guesses.of_image(path)

    assert found.guesses["gain"].text == "1.75"
    assert "EGAIN" in found.guesses["gain"].card
    assert found.guesses["filter"].text == "V, from 'V'"
    assert found.guesses["time"].text == "2025-11-20 23:00:15"
    assert (found.nx, found.ny) == (16, 12)


def test_what_the_header_does_not_say_is_left_out(app: Flask, tmp_path: Path) -> None:
    path = written(tmp_path, FILTER=None, DATE_OBS=None)

    found = task_guesses.of_image(path)

    assert not {"filter", "time", "gain", "blind_match_center"} & found.guesses.keys()


def test_position_and_scale_are_guessed(app: Flask, tmp_path: Path) -> None:
    path = written(tmp_path, RA="12 00 00", DEC="-30 00 00", XPIXSZ=9.0, FOCALLEN=1000.0)

    found = task_guesses.of_image(path)

    assert found.guesses["blind_match_center"].text.startswith("180.0")
    assert found.guesses["pixel_scale"].text.startswith("1.856")


def test_gain_of_a_reduced_frame_is_that_of_its_pixels_and_its_saturation_is_in_its_flags(
    app: Flask, tmp_path: Path
) -> None:
    raw = replace(INFO, saturation_adu=60_000.0)
    write_product(tmp_path / "image.fits", image(), reduced_cards(raw, reduced(), PROVENANCE))

    found = task_guesses.of_image(tmp_path / "image.fits").guesses

    assert found["gain"].text == "1"
    assert "saturation" not in found


def test_file_nobody_can_read_says_why(app: Flask, tmp_path: Path) -> None:
    path = tmp_path / "image.fits"
    path.write_bytes(b"no image")

    assert "cannot be read" in task_guesses.of_image(path).trouble
    assert task_guesses.of_image(tmp_path / "none.fits").trouble
    assert task_guesses.cards_of(path) == []
    assert task_guesses.planes_of(path) == []


def test_cards_are_listed_as_fits_writes_them(app: Flask, tmp_path: Path) -> None:
    cards = {c["keyword"]: c["value"] for c in task_guesses.cards_of(written(tmp_path))}

    assert (cards["SIMPLE"], cards["OBJECT"]) == ("T", "NGC 1")
    assert task_guesses.planes_of(written(tmp_path)) == [Plane(0, "", (12, 16))]
