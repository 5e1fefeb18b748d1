"""Targets as people write them."""

from contextlib import nullcontext

import pytest

from reduction.oneimage.targets import (
    BadTargetError,
    check_near,
    parse_place,
    parse_target,
    parse_targets,
)

BN = (173.4232083, 0.7258333)


@pytest.mark.parametrize("text", [
    "173.4232083 0.7258333",
    "173.4232083, +0.7258333",
    "11:33:41.57 +00:43:33.0",
    "11h33m41.57s 00d43m33.0s",
    "11 33 41.57 +00 43 33.0",
])  # fmt: skip
def test_places_in_every_spelling(text: str) -> None:
    assert parse_place(text) == pytest.approx(BN, abs=1e-6)


def test_southern_places_stay_south_of_zero_degrees() -> None:
    assert parse_place("11:33:41.57 -00:43:33.0") == pytest.approx((BN[0], -BN[1]), abs=1e-6)


@pytest.mark.parametrize("name", ["SN 2015bn", "M 31", "AT 2020 23", "2MASS J12 +13", "NGC2420"])
def test_names_are_no_places(name: str) -> None:
    target = parse_target(name)

    assert (target.name, target.sky, target.pixel) == (name, None, None)


def test_lines_of_names_places_and_pixels() -> None:
    found = parse_targets("SN 2015bn\n\n# not this\n 10.5   -20\nx=100.5 y = 20")

    assert [t.name for t in found] == ["SN 2015bn", "10.5 -20", "x=100.5 y = 20"]
    assert found[1].sky == (10.5, -20.0)
    assert found[2].pixel == (100.5, 20.0)


@pytest.mark.parametrize(("text", "said"), [
    ("44 95", "beyond a pole .are they swapped"),
    ("400 20", "not from 0 to 360"),
    ("25:00:00 +10:00:00", "not from 0 to 360"),
])  # fmt: skip
def test_places_off_the_sky_are_refused(text: str, said: str) -> None:
    with pytest.raises(BadTargetError, match=said):
        parse_target(text)


def test_too_many_lines_are_refused() -> None:
    with pytest.raises(BadTargetError, match="1001 lines are too many"):
        parse_targets("1 2\n" * 1001)


@pytest.mark.parametrize("text", ["x=1e999 y=5", "x=5 y=-1e999"])
def test_pixels_without_end_are_refused(text: str) -> None:
    with pytest.raises(BadTargetError, match="no pixel has such a number"):
        parse_target(text)


@pytest.mark.parametrize(("text", "is_near"), [
    ("x=-3 y=5", True),
    ("x=299 y=-49", True),
    ("x=-151 y=5", False),
    ("x=5 y=1e300", False),
    ("M 31", True),
])  # fmt: skip
def test_pixels_far_outside_of_the_image_are_refused(text: str, is_near: bool) -> None:
    target = parse_target(text)
    with nullcontext() if is_near else pytest.raises(BadTargetError, match="150 x 50 pixels"):
        check_near(target, (50, 150))
