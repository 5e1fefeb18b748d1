import numpy as np

from reduction.plots.drawing import Panel, Span
from reduction.plots.scales import bar, both_ways, rising, word_on
from tests.reduction.plots.svg import shapes, words_of


def lightness(colour: str) -> float:
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_rising_scale_gets_lighter_all_the_way() -> None:
    found = [lightness(colour) for colour in rising(np.linspace(0, 1, 20))]

    assert np.all(np.diff(found) > 0)


def test_words_stand_out_from_the_colour_they_are_on() -> None:
    for share in np.linspace(0, 1, 21):
        (colour,) = rising(np.array([share]))
        words = 255 if word_on(float(share)) == "on-dark" else 22
        assert abs(lightness(colour) - words) > 90


def test_scale_both_ways_is_blue_below_grey_at_nothing_and_orange_above() -> None:
    low, middle, high = both_ways(np.array([-1.0, 0.0, 1.0]))

    assert int(low[5:7], 16) > int(low[1:3], 16) + 80
    assert max(int(middle[k : k + 2], 16) for k in (1, 3, 5)) < 10 + min(
        int(middle[k : k + 2], 16) for k in (1, 3, 5)
    )
    assert int(high[1:3], 16) > int(high[5:7], 16) + 80


def test_values_beyond_the_scale_have_its_last_colours() -> None:
    assert rising(np.array([-3.0, 7.0])) == rising(np.array([0.0, 1.0]))
    assert both_ways(np.array([np.nan])) == both_ways(np.array([0.0]))


def test_bar_says_what_its_colours_are() -> None:
    drawn = Panel(Span(0, 1), Span(0, 1)).drawn("t", bar(Span(2.0, 4.0, "FWHM, pixels"), 200.0))

    assert {"2.0", "3.0", "4.0", "FWHM, pixels"} <= set(words_of(drawn))
    filled = [one for one in shapes(drawn) if one.get("fill")]
    assert lightness(filled[0].get("fill", "")) < lightness(filled[-1].get("fill", ""))
    assert float(filled[0].get("y", "")) > float(filled[-1].get("y", ""))  # low is below


def test_numbers_of_a_bar_are_clear_of_what_they_are() -> None:
    drawn = bar(Span(-0.025, 0.025, "catalogue − fit, mag"), 200.0, is_both_ways=True)

    *numbers, title = [one for one in shapes(f"<svg>{drawn}</svg>") if one.tag == "text"]
    title_from = float(title.get("x", "")) - 11  # its letters stand up from the line, leftwards
    for one in numbers:
        width = 7.64 * sum(0.5 if letter == "." else 1 for letter in one.text or "")
        assert float(one.get("x", "")) + width < title_from
