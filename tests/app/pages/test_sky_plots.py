from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from app.models import Frame
from app.pages.sky_plots import COLUMNS, Plot, plots_of
from reduction.photometry.sourcetable import SourceTable
from reduction.plots.residuals import MOST_ARROWS
from tests.reduction.photometry.fulltable import full_table
from tests.reduction.photometry.sourcefiles import SHAPE, frame_at
from tests.reduction.plots.svg import numbers, of_class, words_of

WCS = frame_at((35.6, -22.4))


def plots(table: SourceTable, limit_mag: float | None = 20.0) -> dict[str, Plot]:
    frame = SimpleNamespace(ny=SHAPE[0], nx=SHAPE[1], limit_mag=limit_mag)
    return {plot.name: plot for plot in plots_of(cast("Frame", frame), table)}


def changed(table: SourceTable, **columns: np.ndarray) -> SourceTable:
    return SourceTable({**table.columns, **columns}, table.facts)


def test_plots_need_no_other_columns_than_are_read_for_them() -> None:
    table = full_table(WCS, SHAPE)
    read = {name: table[name] for name in COLUMNS if name in table}

    assert len(plots(SourceTable(read, table.facts))) == 8


def test_doubtful_sources_tell_nothing_of_the_astrometry() -> None:
    shown = plots(full_table(WCS, SHAPE))["residuals"]

    (dots,) = of_class(shown.svg, "small")
    assert {3, 5} & set(numbers(dots)) == set()
    assert {0, 1, 2, 4} <= set(numbers(dots))


def test_dots_carry_the_numbers_their_sources_have_in_every_plot() -> None:
    table = full_table(WCS, SHAPE)
    mag = dict(zip(table["number"].tolist(), table["cat_mag"].tolist(), strict=True))

    shown = plots(table)

    for name in ("magnitude", "depth"):
        (dots,) = of_class(shown[name].svg, "small")
        assert [mag[n] for n in numbers(dots) if np.isfinite(mag[n])] == sorted(
            m for n, m in mag.items() if n in numbers(dots) and np.isfinite(m)
        )


def test_words_say_that_arrows_of_many_stars_are_medians() -> None:
    few, many = full_table(WCS, SHAPE), full_table(WCS, SHAPE, n=2 * MOST_ARROWS)

    assert "Medians" not in plots(few)["residuals"].told
    assert "Medians" in plots(many)["residuals"].told


def test_frame_in_white_light_has_no_colour_plot() -> None:
    table = full_table(WCS, SHAPE)

    shown = plots(changed(table, cat_colour=np.full(len(table), np.nan)))

    assert "colour" not in shown
    assert "magnitude" in shown


def test_frame_without_a_zero_point_keeps_its_astrometry() -> None:
    table = full_table(WCS, SHAPE)
    none = np.full(len(table), np.nan)

    shown = plots(changed(table, zp_residual_mag=none, mag=none), None)

    assert set(shown) == {"residuals", "scatter", "fwhm", "growth"}


@pytest.mark.parametrize("fwhm", [1.0, 9.0])
def test_what_is_no_star_tells_nothing_of_their_width(fwhm: float) -> None:
    table = full_table(WCS, SHAPE)
    is_odd = table["number"] % 2 == 1

    shown = plots(changed(table, fwhm_pix=np.where(is_odd, fwhm, 3.0)))["fwhm"]

    told = [float(one.text or "") for one in of_class(shown.svg, "cell")]
    assert told == pytest.approx([3.0] * len(told))


def test_growth_curve_of_no_star_is_not_drawn() -> None:
    table = full_table(WCS, SHAPE)
    faint = changed(table, snr=np.full(len(table), 10.0))

    assert plots(faint)["growth"].told.startswith("The share of a star's light in circles, from 0 ")
    assert "measured in 3.0 pixels: 78.0 %" in words_of(plots(faint)["growth"].svg)
