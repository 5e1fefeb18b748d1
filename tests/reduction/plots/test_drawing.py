import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduction.plots.drawing import (
    Panel,
    Span,
    arrows,
    dots,
    labels,
    level,
    line,
    map_of,
    span_of,
    ticks,
    words,
)
from tests.reduction.plots.svg import of_class, shapes, starts, words_of

PANEL = Panel(Span(0, 10, "x"), Span(-1, 1, "y"))


@given(
    st.floats(-1e6, 1e6, allow_subnormal=False),
    st.floats(1e-6, 1e6, allow_subnormal=False),
    st.booleans(),
)
def test_ticks_lie_on_the_axis_evenly_and_are_neither_few_nor_many(
    low: float, length: float, is_turned: bool
) -> None:
    high = low + length
    span = Span(high, low) if is_turned else Span(low, high)

    found = ticks(span)

    room = 1e-6 * max(abs(low), abs(high), length)
    assert 2 <= len(found) <= 7
    assert found.min() >= low - room
    assert found.max() <= high + room
    assert np.ptp(np.diff(found)) <= room


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (Span(0, 11), ["0.0", "2.5", "5.0", "7.5", "10.0"]),
        (Span(-0.1, 0.1), ["−0.10", "−0.05", "0.00", "0.05", "0.10"]),
        (Span(0, 4000), ["0", "1000", "2000", "3000", "4000"]),
        (Span(0.4, 4.1, is_log=True), ["10", "100", "1,000", "10,000"]),
    ],
)
def test_ticks_are_written_with_the_decimals_they_need(span: Span, expected: list[str]) -> None:
    assert labels(span, ticks(span)) == expected


def test_values_are_placed_from_left_to_right_and_from_bottom_to_top() -> None:
    left, top, right, bottom = PANEL.box

    assert PANEL.at(0, -1) == (left, bottom)
    assert PANEL.at(10, 1) == (right, top)
    assert PANEL.at(5, 0) == pytest.approx(((left + right) / 2, (top + bottom) / 2))


def test_axis_that_is_turned_round_grows_to_the_left() -> None:
    panel = Panel(Span(1, -1), Span(0, 1))

    assert panel.at(1, 0)[0] == panel.box[0]
    assert panel.at(-1, 0)[0] == panel.box[2]


def test_only_what_is_within_the_axes_is_inside() -> None:
    x, y = np.array([5, 11, 5, np.nan]), np.array([0, 0, 2, 0.0])

    assert PANEL.inside(x, y).tolist() == [True, False, False, False]


@pytest.mark.parametrize("values", [[], [np.nan], [3.0], [3.0, 3.0], [0.0, 0.0, np.inf]])
def test_axis_of_hardly_any_values_has_a_length(values: list[float]) -> None:
    span = span_of(np.array(values, float), "mag")

    assert span.length > 0
    assert all(span.low <= value <= span.high for value in values if np.isfinite(value))


def test_axis_spans_at_least_what_is_asked() -> None:
    span = span_of(np.array([1.0, 1.1]), "", least=2.0)

    assert (span.low, span.high) == pytest.approx((0.05, 2.05))


def test_words_from_outside_are_no_markup() -> None:
    panel = Panel(Span(0, 1, "<script>&"), Span(0, 1, "y"))

    drawn = panel.drawn('a "title" <b>', words(1, 1, "<i>&", "tick"))

    assert "<script>" not in drawn
    assert "<script>&" in words_of(drawn)
    assert "<i>&" in words_of(drawn)
    assert shapes(drawn)[0].get("aria-label") == 'a "title" <b>'


def test_drawing_holds_no_style_and_no_script() -> None:
    drawn = PANEL.drawn("t", dots(np.array([1.0]), np.array([2.0]), "small"))

    assert not any(one.get("style") or "script" in one.tag for one in shapes(drawn))


def test_dots_that_have_no_place_are_left_out_with_their_numbers() -> None:
    x, y = np.array([1.0, np.nan, 3.0]), np.array([1.0, 2.0, 3.0])

    (drawn,) = of_class(PANEL.drawn("t", dots(x, y, "small", np.array([7, 8, 9]))), "small")

    assert starts(drawn).tolist() == [[1.0, 1.0], [3.0, 3.0]]
    assert drawn.get("data-stars") == "7 9"


def test_nothing_draws_nothing() -> None:
    none = np.empty(0)

    assert dots(none, none, "small") == ""
    assert line(none, none, "fit") == ""
    assert arrows(none, none, none, none, "arrow") == ""
    assert words(0, 0, "", "tick") == ""


def test_line_is_broken_where_a_value_is_not_known() -> None:
    x = np.array([0.0, 1.0, 2.0, 3.0])
    y = np.array([0.0, 1.0, np.nan, 3.0])

    (drawn,) = of_class(PANEL.drawn("t", line(x, y, "fit")), "fit")

    assert drawn.get("d") == "M0.0 0.0L1.0 1.0M3.0 3.0"


def test_level_outside_the_axes_is_not_drawn() -> None:
    assert level(PANEL, 2.0, "axis") == ""
    assert level(PANEL, 0.5, "axis")


def test_arrow_without_length_has_no_head_to_point_with() -> None:
    zero = np.zeros(1)

    drawn = PANEL.drawn("t", arrows(zero + 5, zero + 5, zero, zero, "arrow"))

    assert "nan" not in drawn


@pytest.mark.parametrize("shape", [(1024, 1024), (700, 2000), (4096, 1024), (20, 5000), (5000, 20)])
def test_map_shows_all_of_a_frame_at_the_same_scale_where_it_can(shape: tuple[int, int]) -> None:
    ny, nx = shape

    panel = map_of(shape)

    left, top, right, bottom = panel.box
    assert (panel.x.low, panel.x.high) == (-0.5, nx - 0.5)
    assert (panel.y.low, panel.y.high) == (-0.5, ny - 0.5)
    assert 100 <= panel.height <= 470
    if 0.5 < ny / nx < 2:
        assert (right - left) / nx == pytest.approx((bottom - top) / ny, rel=0.01)


@pytest.mark.parametrize(
    "y",
    [
        Span(-0.05, 0.05, "catalogue − fit, mag"),
        Span(-0.025, 0.025, "catalogue − fit, mag"),
        Span(-123456, 654321, "y"),
        Span(0, 1, "y"),
        Span(-3, 5.5, "signal", is_log=True),
    ],
)
def test_numbers_at_the_left_are_clear_of_the_label_there(y: Span) -> None:
    svg = Panel(Span(0, 1), y).drawn("x")

    label_to = 14 + 4  # its baseline, and what hangs below it
    ends = [one for one in of_class(svg, "end") if one.text]
    starts_at = [
        float(one.get("x", 0)) - 7.64 * sum(0.5 if c in ".," else 1 for c in one.text or "")
        for one in ends
    ]
    assert ends
    assert min(starts_at) > label_to
