"""Cells of any type as numbers, with a count of those that are text."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from reduction.refcat.columns import NO_ID, Column, RawChunk
from reduction.refcat.errors import BadCatalogueError

# How files spell a value that is not there.
NULLS: Final = ("", "null", "NULL", "nan", "NaN", "NAN", "None", "NA", "N/A", "--", "-", "\\N", "~")
_NUMBER: Final = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_WHOLE: Final = r"^[+-]?[0-9]{1,19}$"


def chunk_of(
    cells: Mapping[str, Any], whole: frozenset[str], *, ragged: int = 0, done: float = 0.0
) -> RawChunk:
    """Return columns of any type as numbers, those named in `whole` as whole ones."""
    columns: dict[str, Column] = {}
    text: dict[str, tuple[int, str]] = {}
    for name, values in cells.items():
        if name in whole:
            columns[name] = whole_numbers_of(values)
            continue
        columns[name], bad = numbers_of(values)
        if bad[0]:
            text[name] = bad
    return RawChunk(columns, ragged, text, done)


def numbers_of(values: Any) -> tuple[npt.NDArray[np.float64], tuple[int, str]]:  # noqa: ANN401
    """Return cells as float64, and how many were text with one of them.

    Parameters
    ----------
    values : array, ``(n,)``
        Of numpy or pyarrow: numbers, truth values or text; missing ones become NaN.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
        return values.astype(np.float64), (0, "")
    arrow = _arrow(values)
    if not pa.types.is_string(arrow.type):
        return _plain(arrow.cast(pa.float64(), safe=False)), (0, "")
    trimmed = pc.utf8_trim_whitespace(arrow)
    blank = pc.is_in(trimmed, value_set=pa.array(NULLS))
    is_number = pc.match_substring_regex(trimmed, _NUMBER)
    told = pc.if_else(is_number, trimmed, pa.scalar(None, pa.string()))
    bad = pc.and_(pc.invert(pc.or_(is_number, blank)), pc.is_valid(trimmed))
    n_bad = int(pc.sum(bad.fill_null(False)).as_py() or 0)
    example = str(trimmed.filter(bad)[0].as_py()) if n_bad else ""
    return _plain(told.cast(pa.float64())), (n_bad, example)


def whole_numbers_of(values: Any) -> npt.NDArray[np.int64]:  # noqa: ANN401
    """Return identifiers as int64, `NO_ID` where there is none.

    Raises
    ------
    BadCatalogueError
        If they are no whole numbers of 64 bits.
    """
    arrow = _arrow(values)
    try:
        if pa.types.is_string(arrow.type):
            trimmed = pc.utf8_trim_whitespace(arrow)
            fits = pc.match_substring_regex(trimmed, _WHOLE)
            if len(trimmed) and not pc.any(fits).as_py():
                raise BadCatalogueError(_no_whole(trimmed[0].as_py()))
            arrow = pc.if_else(fits, trimmed, pa.scalar(None, pa.string()))
        whole = arrow.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise BadCatalogueError(_no_whole(error)) from error
    return np.asarray(whole.fill_null(NO_ID).to_numpy(zero_copy_only=False), np.int64)


def _no_whole(what: object) -> str:
    return f"identifiers must be whole numbers of 64 bits ({what}): leave id= away"


def _arrow(values: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    if isinstance(values, np.ndarray):
        if values.dtype.kind == "S":
            values = np.char.decode(values, "ascii", "replace")
        if values.dtype.kind in "UO":
            return pa.array(values.tolist())
        return pa.array(values.astype(values.dtype.newbyteorder("=")))
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type) or pa.types.is_large_string(values.type):
        values = values.cast(pa.string())
    return values


def _plain(values: Any) -> npt.NDArray[np.float64]:  # noqa: ANN401
    return np.asarray(values.to_numpy(zero_copy_only=False), np.float64)
