"""What of a stored catalogue is not as it was written: every file of it is read.

Files are read, not mapped: where a disk gives an error, a map would end the process.
"""

from collections.abc import Callable
from hashlib import file_digest
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from reduction.refcat.errors import BadCatalogueError
from reduction.refcat.meta import META_FILE, ColumnFact, Meta, read_meta
from reduction.refcat.pixels import KEY_ORDER, n_pixels
from reduction.refcat.store import COVERED, OFFSETS

SUMS_FILE: Final = "SHA256SUMS"  # as sha256sum writes and checks it
SUMMED: Final = (META_FILE, f"{OFFSETS}.npy", f"{COVERED}.npy")  # columns have theirs in the facts
_CHANGED: Final = "is not what was written"

Array = npt.NDArray[Any]


def sums_of(folder: Path) -> str:
    """Return the SHA-256 of a catalogue's files beside its columns, a line for each.

    Parameters
    ----------
    folder : Path
        Of the generation, with all its files.

    Returns
    -------
    str
        What `SUMS_FILE` holds.
    """
    return "".join(f"{_sum(folder / name)}  {name}\n" for name in SUMMED)


def damage_of(folder: Path) -> list[str]:
    """Return what is wrong with the files of one generation of a catalogue.

    What was stored by an earlier version has no sums of some of its files; of those it is checked
    that what they say is possible.

    Parameters
    ----------
    folder : Path
        Of the generation.

    Returns
    -------
    list of str
        A phrase for each file that is damaged, which begins with its name; none if it is whole.
    """
    try:
        meta = read_meta(folder)
    except (OSError, BadCatalogueError):
        return [f"{META_FILE} cannot be read"]
    found: dict[str, str] = {}
    for name, fact in meta.columns.items():
        found |= _told(f"{name}.npy", _wrong_column, folder, meta, fact)
    found |= _told(f"{OFFSETS}.npy", _wrong_offsets, folder, meta)
    found |= _told(f"{COVERED}.npy", _wrong_coverage, folder, meta)
    found |= _wrong_sums(folder)  # surer than what is possible
    return [f"{name} {what}" for name, what in found.items()]


def quads_damage(folder: Path) -> str:
    """Return what is wrong with the quads of a generation; empty if they are whole, or not made.

    Parameters
    ----------
    folder : Path
        Of the generation.

    Returns
    -------
    str
        A phrase that begins with the file's name.
    """
    # Imported here: it brings the kernels.
    from reduction.refcat.quadindex import QUADS_FILE, open_quads, sums_of_quads

    if not (folder / QUADS_FILE).exists():
        return ""
    try:
        changed = [name for name, (told, now) in sums_of_quads(folder).items() if told != now]
        if changed:
            return f"{QUADS_FILE} {_CHANGED}"
        tables = open_quads(folder)
        stars, quads = tables.sky, tables.quads
        is_possible = (
            len(stars.xyz) == len(stars.near)
            and quads.starts.size == quads.n_axis**4 + 1
            and _ascend(quads.starts, 0, len(quads.owner))
            and int(quads.owner.max(initial=0)) < max(len(stars.xyz), 1)
            and int(stars.near.max(initial=-1)) < len(stars.xyz)
        )
    except (OSError, BadCatalogueError):
        return f"{QUADS_FILE} cannot be read"
    return "" if is_possible else f"{QUADS_FILE} says what cannot be"


def _told(
    name: str,
    look: Callable[..., str],
    folder: Path,
    *facts: Any,  # noqa: ANN401 - as `look` takes
) -> dict[str, str]:
    """Return a file with what is wrong with it, also where it cannot be read at all."""
    try:
        wrong = look(folder / name, *facts)
    except FileNotFoundError:
        wrong = "is missing"
    except OSError as error:
        wrong = f"cannot be read: {error.strerror or error}"
    except (ValueError, EOFError, TypeError):
        wrong = "cannot be read"
    return {name: wrong} if wrong else {}


def _wrong_sums(folder: Path) -> dict[str, str]:
    sums = folder / SUMS_FILE
    if not sums.exists():  # stored by an earlier version
        return {}
    try:
        lines = sums.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return {SUMS_FILE: "cannot be read"}
    told = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    found: dict[str, str] = {}
    for name in SUMMED:
        found |= _told(name, _wrong_sum, folder, told.get(name))
    return found


def _wrong_sum(path: Path, told: str | None) -> str:
    return "" if _sum(path) == told else _CHANGED


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _wrong_column(path: Path, meta: Meta, fact: ColumnFact) -> str:
    with path.open("rb") as file:
        shape, dtype = _head(file)
        if shape != (meta.rows,) or dtype.str != fact.dtype:
            return f"does not hold {meta.rows} rows"
        return "" if file_digest(file, "sha256").hexdigest() == fact.sha256 else _CHANGED


def _head(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read the header of a ``.npy`` file, up to its values."""
    np.lib.format.read_magic(file)
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return shape, dtype


def _wrong_offsets(path: Path, meta: Meta) -> str:
    offsets = np.load(path, allow_pickle=False)
    if not 0 <= meta.order <= KEY_ORDER or offsets.shape != (n_pixels(meta.order) + 1,):
        return "has not a row number for each cell"
    return "" if _ascend(offsets, 0, meta.rows) else f"does not ascend from 0 to {meta.rows}"


def _wrong_coverage(path: Path, meta: Meta) -> str:
    cells = np.load(path, allow_pickle=False)
    if cells.ndim != 2 or len(cells) != 2 or cells.dtype.kind != "i":
        return "holds no runs of cells"
    start, stop = cells
    apart = bool((start < stop).all() and (start[1:] >= stop[:-1]).all())
    inside = not start.size or (start[0] >= 0 and stop[-1] <= n_pixels(meta.cover_order))
    return "" if apart and inside else "holds cells that are not of the sky, or not in order"


def _ascend(values: Array, first: int, last: int) -> bool:
    """Tell whether numbers begin and end as they must and never fall; they may be unsigned."""
    ends = bool(values.size) and int(values[0]) == first and int(values[-1]) == last
    return ends and bool((values[1:] >= values[:-1]).all())
