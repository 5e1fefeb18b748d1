"""The measurements of accuracy: their frames hold what is said, and a miss is named."""

import json
from pathlib import Path

import numpy as np
import pytest

from reduction.simulate.fields import Recipe, make_field
from scripts.benchmarks import accuracy, accuracy_found
from scripts.benchmarks.accuracy_facts import Fact
from scripts.benchmarks.accuracy_frames import SKY_E, frame_of_stars, share_within
from scripts.benchmarks.accuracy_light import Gathered, fluxes, gather, zero_points
from scripts.benchmarks.accuracy_places import Solved, missed_aims, solve_one, told


def places(n: int, **more: float) -> list[Solved]:
    values = {"middle_pix": 0.05, "corner_pix": 0.1, "residual": 1.0}
    return [Solved(0.01, **(values | more)) for _ in range(n)]


@pytest.mark.parametrize(("found", "missed"), [
    (places(200), ""),
    ([*places(199), Solved(0.01)], ""),
    ([*places(198), Solved(0.01), Solved(0.01)], "99.5 % solved"),
    ([*places(200), *places(1, middle_pix=500.0)], "none wrong"),
    (places(200, middle_pix=0.3), "0.19 pix"),
    (places(200, corner_pix=0.5), "0.39 pix in corners"),
    (places(200, residual=1.2), "stars within 1.1 of their noise"),
])  # fmt: skip
def test_a_miss_of_places_is_named(found: list[Solved], missed: str) -> None:
    assert told("fields", found, has_aim=True).missed == missed


def test_a_place_without_an_aim_misses_only_by_being_wrong() -> None:
    assert told("fields", places(5, corner_pix=9.0), has_aim=False).missed == ""
    assert told("fields", places(5, middle_pix=99.0), has_aim=False).missed == "none wrong"
    assert missed_aims({"wrong": 1.0}) == "none wrong"


def test_a_field_is_compared_with_its_truth() -> None:
    solved = solve_one(make_field(np.random.default_rng(1), Recipe(300)), is_hinted=True)

    assert solved.is_found
    assert solved.middle_pix < 0.1
    assert solved.residual == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("fwhm", [1.5, 3.2, 8.0])
def test_frames_hold_the_light_they_say(fwhm: float) -> None:
    frame = frame_of_stars(3, 400, fwhm, None)
    k = int(np.argmax(frame.flux))
    rows, columns = np.mgrid[:400, :400]
    near = np.hypot(columns - frame.x[k], rows - frame.y[k]) < 4 * fwhm

    light = float((frame.image.data - SKY_E)[near].sum())

    noise = np.sqrt(float(frame.image.variance[near].sum()))
    assert light == pytest.approx(frame.flux[k], abs=4 * noise + 0.004 * frame.flux[k])
    assert share_within(4.0, fwhm) == pytest.approx(0.9968, abs=2e-4)


def test_light_is_measured_beside_its_aims() -> None:
    gathered = gather(None, 3.2, (500, 1))

    apertures = fluxes("apertures", None, 3.2, gathered)

    assert apertures.missed == ""
    assert apertures.figures["stars"] > 40
    assert zero_points(None, gathered).missed == ""
    gathered.off["apertures"] = [one + 0.02 for one in gathered.off["apertures"]]
    gathered.pulls["apertures"] = [2 * one for one in gathered.pulls["apertures"]]
    assert fluxes("apertures", None, 3.2, gathered).missed == "0.2 %, pulls"


def test_zero_points_that_are_off_or_missing_are_named() -> None:
    far = Gathered(zeros=[(0.01, 0.002, 0.03, 0.01)] * 9, n_frames=10)

    assert zero_points(50.0, far).missed == "all frames, 3 mmag and the error, colour term"
    assert zero_points(12.0, far).missed == ""


def test_stars_found_are_told_star_by_star(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = frame_of_stars(5, 300, 3.2, None)
    whole = np.column_stack([frame.x, frame.y])
    lists = {"ours": whole[1:], "other": np.vstack([whole[:-2], [[-90.0, -90.0]]])}
    monkeypatch.setattr(accuracy_found, "lists_of", lambda *_: lists)

    fact = accuracy_found.completeness("a frame", [frame], None)

    n = len(whole)
    assert fact.figures["ours"] == pytest.approx((n - 1) / n)
    assert fact.figures["ours_not_other"] == pytest.approx(2 / n)
    assert fact.figures["other_not_ours"] == pytest.approx(1 / n)
    assert (fact.figures["ours_false"], fact.figures["other_false"]) == (0, 1)
    assert fact.missed == ""


def test_lines_are_printed_and_written_as_they_come(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "accuracy.json"

    accuracy.tell([Fact("fields", "9 of 10", {"solved": 9}, "99.5 % solved")], path)

    assert "MISSED: 99.5 % solved" in capsys.readouterr().out
    assert json.loads(path.read_text())[0]["figures"] == {"solved": 9}
