"""Quads: codes that do not change with the way a frame is held, levels, each quad kept once."""

from itertools import permutations

import numpy as np
import pytest

from reduction.astrometry.quads import QuadTables, brightest_of_cells, levels_of, tables_of
from reduction.kernels.quads import PARTS, code_of, member, project, stand_at
from reduction.refcat.geometry import vectors
from reduction.refcat.pixels import nested_of

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def code(places: Floats) -> tuple[tuple[float, ...], list[int]]:
    order = np.zeros(4, np.int64)
    x, y = np.ascontiguousarray(places.T)
    return code_of(x, y, order), order.tolist()


def with_code(rng: np.random.Generator) -> Floats:
    while True:
        places = rng.uniform(-1, 1, (4, 2))
        if code(places)[0][2] >= 0:
            return places


def test_a_code_does_not_change_with_place_turn_and_scale_and_a_mirror_turns_its_sign(
    rng: np.random.Generator,
) -> None:
    for _ in range(50):
        places = with_code(rng)
        angle, scale = rng.uniform(0, 2 * np.pi), rng.uniform(0.01, 100)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

        own, order = code(places)
        turned, same_order = code(places @ turn.T + rng.uniform(-9, 9, 2))
        mirrored, _ = code(places * (1, -1))

        assert turned == pytest.approx(own, abs=1e-9)
        assert same_order == order
        assert mirrored == pytest.approx((own[0], -own[1], own[2], -own[3]), abs=1e-9)
        assert own[0] <= own[2]
        assert own[0] + own[2] <= 1


def test_the_order_stars_are_given_in_is_no_part_of_a_code(rng: np.random.Generator) -> None:
    places = with_code(rng)
    own, order = code(places)
    named = places[order]

    for way in permutations(range(4)):
        shuffled = places[list(way)]
        again, theirs = code(shuffled)
        assert again == pytest.approx(own, abs=1e-12)
        assert np.array_equal(shuffled[theirs], named)


def test_four_in_which_one_lies_outside_the_circle_have_no_code() -> None:
    spread = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 0.7], [0.5, 0.1]])

    assert code(spread)[0][2] < 0


def test_of_each_cell_the_brightest_are_taken_and_stars_without_a_magnitude_last() -> None:
    cells = np.array([3, 3, 3, 5, 5, 9])
    brightness = np.array([12.0, 10.0, 11.0, np.nan, 15.0, np.nan])

    assert brightest_of_cells(cells, brightness, 2).tolist() == [1, 2, 3, 4, 5]
    assert brightest_of_cells(cells, brightness, 1).tolist() == [1, 4, 5]


def patch(rng: np.random.Generator, n: int) -> tuple[Floats, Floats, Floats]:
    """Return positions in the order of their cells, and magnitudes."""
    ra, dec = rng.uniform(100, 102, n), rng.uniform(30, 32, n)
    order = np.argsort(nested_of(ra, dec, 12), kind="stable")
    return ra[order], dec[order], rng.uniform(8, 18, n)


def test_levels_thin_out_to_the_brightest(rng: np.random.Generator) -> None:
    ra, dec, mag = patch(rng, 3000)

    levels = list(levels_of(nested_of(ra, dec, 12), mag, 12))

    sizes = [len(level) for level in levels]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 2500
    assert sizes[-1] < 30
    means = [float(mag[level].mean()) for level in levels]
    assert means == sorted(means, reverse=True)
    for finer, coarser in zip(levels, levels[1:], strict=False):
        assert set(coarser) < set(finer)


def members_of(tables: QuadTables, quad: int) -> list[int]:
    return [member(tables.sky, tables.quads, quad, k) for k in range(4)]


def stored_code(tables: QuadTables, quad: int) -> list[float]:
    """Return the code as its bin and the rest say it."""
    number = int(np.searchsorted(tables.quads.starts, quad, side="right")) - 1
    n = tables.quads.n_axis
    bins = [number // n**3, number // n**2 % n, number // n % n, number % n]
    rests = (tables.quads.rest[quad] + 0.5) / PARTS
    return [(b + r) / n - 0.5 * (k % 2) for k, (b, r) in enumerate(zip(bins, rests, strict=True))]


def test_each_quad_is_kept_once_under_its_own_code(rng: np.random.Generator) -> None:
    ra, dec, _ = patch(rng, 400)
    tables = tables_of([vectors(ra, dec).T])

    found = [members_of(tables, quad) for quad in range(tables.n_quads)]

    assert len({tuple(sorted(one)) for one in found}) == tables.n_quads > 2000
    about = np.zeros((3, 3))
    for quad in range(0, tables.n_quads, 97):
        stand_at(tables.sky.xyz, int(tables.quads.owner[quad]), about)
        places = np.array([project(tables.sky.xyz, star, about) for star in found[quad]])
        own, order = code(places)
        assert order == [0, 1, 2, 3]
        assert stored_code(tables, quad) == pytest.approx(own, abs=0.6 / PARTS / 6)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_too_few_stars_make_no_quads(n: int) -> None:
    ra = np.linspace(10, 11, n)

    assert tables_of([vectors(ra, ra).T]).n_quads == 0
