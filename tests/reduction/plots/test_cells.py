import numpy as np
import pytest

from reduction.plots.cells import LEAST_STARS, cut
from reduction.plots.drawing import map_of

SHAPE = (1000, 2000)


def test_every_star_is_in_the_cell_it_lies_in() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-0.5, 1999.5, 4000), rng.uniform(-0.5, 999.5, 4000)

    cells = cut(x, y, SHAPE, per_cell=10, most=8)

    assert (cells.rows, cells.columns) == (8, 8)
    middles = np.array([cells.middle(int(cell)) for cell in cells.number])
    assert np.abs(middles[:, 0] - x).max() <= 2000 / 8 / 2 + 1e-9
    assert np.abs(middles[:, 1] - y).max() <= 1000 / 8 / 2 + 1e-9


def test_cells_hold_about_the_stars_asked_for_and_are_about_square() -> None:
    rng = np.random.default_rng(2)

    cells = cut(rng.uniform(0, 2000, 500), rng.uniform(0, 1000, 500), SHAPE, per_cell=10, most=99)

    assert cells.rows * cells.columns == pytest.approx(50, rel=0.2)
    assert cells.columns == pytest.approx(2 * cells.rows, abs=1)


def test_cell_of_too_few_stars_tells_nothing() -> None:
    x = np.array([100.0] * LEAST_STARS + [1900.0] * (LEAST_STARS - 1))

    cells = cut(x, np.full(len(x), 500.0), SHAPE, per_cell=2, most=2)

    found = dict(cells.members())
    assert [chosen.tolist() for chosen in found.values()] == [list(range(LEAST_STARS))]


def test_star_at_the_very_edge_is_in_the_outermost_cell() -> None:
    x = np.array([-0.5, 1999.5] * 20)
    y = np.array([-0.5, 999.5] * 20)

    cells = cut(x, y, SHAPE, per_cell=4, most=3)

    assert set(cells.number.tolist()) == {0, cells.rows * cells.columns - 1}


def test_no_stars_are_one_empty_cell() -> None:
    cells = cut(np.empty(0), np.empty(0), SHAPE, per_cell=10, most=8)

    assert (cells.rows, cells.columns) == (1, 1)
    assert list(cells.members()) == []


def test_cells_cover_the_drawing_of_the_frame() -> None:
    panel = map_of(SHAPE)
    cells = cut(np.zeros(400), np.zeros(400), SHAPE, per_cell=10, most=8)

    places = [cells.place(cell, panel) for cell in range(cells.rows * cells.columns)]

    left, top, right, bottom = panel.box
    area = sum(wide * tall for _, _, wide, tall in places)
    assert area == pytest.approx((right - left) * (bottom - top))
    assert places[0][1] + places[0][3] == pytest.approx(bottom)  # row 0 is at the bottom
