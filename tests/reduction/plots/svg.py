"""What a drawing shows, read back from its SVG."""

import re
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_SVG = "{http://www.w3.org/2000/svg}"
_PAIR = re.compile(r"([Ml])(-?[\d.]+) (-?[\d.]+)")


def shapes(svg: str) -> list[ElementTree.Element]:
    """All elements of a drawing, which must be well-formed."""
    return list(ElementTree.fromstring(svg).iter())  # noqa: S314 - our own drawing


def of_class(svg: str, name: str) -> list[ElementTree.Element]:
    """The elements that have a class."""
    return [one for one in shapes(svg) if name in one.get("class", "").split()]


def starts(shape: ElementTree.Element) -> Floats:
    """The places a path's strokes start at, ``(n, 2)``."""
    pairs = [(float(x), float(y)) for m, x, y in _PAIR.findall(shape.get("d", "")) if m == "M"]
    return np.array(pairs).reshape(-1, 2)


def steps(shape: ElementTree.Element) -> Floats:
    """The steps of a path's strokes, ``(n, 2)``."""
    pairs = [(float(x), float(y)) for m, x, y in _PAIR.findall(shape.get("d", "")) if m == "l"]
    return np.array(pairs).reshape(-1, 2)


def words_of(svg: str) -> list[str]:
    """All that is written on a drawing."""
    return [one.text or "" for one in shapes(svg) if one.tag.removeprefix(_SVG) == "text"]


def numbers(shape: ElementTree.Element) -> list[int]:
    """Which stars a path's dots are."""
    return [int(text) for text in shape.get("data-stars", "").split()]
