"""Tables of sources written and read again, whole, in part, and when they are damaged."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reduction.photometry import parquet
from reduction.photometry.conesearch import cells_within
from reduction.photometry.sourcetable import HEALPIX_ORDER, SourceFacts, SourceTable
from reduction.refcat.pixels import Ranges
from reduction.refcat.regions import Cone
from tests.reduction.photometry.sourcefiles import SHAPE, frame_at, table_of, write

PLACE = (120.0, 35.0)


def field(rng: np.random.Generator, n: int) -> SourceTable:
    x, y = rng.uniform(0, SHAPE[1], n), rng.uniform(0, SHAPE[0], n)
    return table_of(frame_at(PLACE), x, y, mags=rng.normal(18, 1, n))


def test_what_is_read_is_what_was_written(tmp_path: Path, rng: np.random.Generator) -> None:
    table = field(rng, 9000)
    path = write(tmp_path / "a.sources.parquet", table)

    again = parquet.read(path)

    assert again.names == table.names
    assert again.facts == table.facts
    for name in table.names:
        assert again[name].dtype == table[name].dtype
        assert np.array_equal(again[name], table[name], equal_nan=again[name].dtype.kind == "f")


def test_other_programs_read_it_too(tmp_path: Path, rng: np.random.Generator) -> None:
    table = field(rng, 100)

    other = pq.read_table(write(tmp_path / "a.sources.parquet", table))

    assert other.column_names == table.names
    assert np.array_equal(other["ra_deg"].to_numpy(), table["ra_deg"])


@pytest.mark.parametrize("n", [0, 1])
def test_a_frame_without_sources_has_a_file_all_the_same(
    tmp_path: Path, rng: np.random.Generator, n: int
) -> None:
    path = write(tmp_path / "a.sources.parquet", field(rng, n))

    assert len(parquet.read(path)) == n
    assert len(parquet.read(path, cells=cells_within(Cone(*PLACE, 1.0)))) == n


def test_some_columns_are_read_in_the_order_asked_for(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    path = write(tmp_path / "a.sources.parquet", field(rng, 50))

    assert parquet.read(path, columns=["mag", "no such", "number"]).names == ["mag", "number"]


def test_cells_leave_exactly_the_sources_of_other_cells_away(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    table = field(rng, 3 * parquet.GROUP_ROWS)
    path = write(tmp_path / "a.sources.parquet", table)
    numbers = table["healpix"]
    for first, last in [(0, 0), (5, 90), (4090, 4100), (len(numbers) - 1, len(numbers) - 1)]:
        low, high = np.array([numbers[first]]), np.array([numbers[last] + 1])

        found = parquet.read(path, cells=Ranges(HEALPIX_ORDER, low, high))

        inside = (numbers >= low[0]) & (numbers < high[0])
        assert np.array_equal(found["number"], table["number"][inside])


def test_a_cone_reads_a_part_of_a_large_file(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.sources.parquet", field(rng, 5 * parquet.GROUP_ROWS))
    groups: list[list[int]] = []
    read_row_groups = pq.ParquetFile.read_row_groups

    def noted(file: Any, some: list[int], **rest: Any) -> Any:
        groups.append(some)
        return read_row_groups(file, some, **rest)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", noted)

    parquet.read(path, cells=cells_within(Cone(*PLACE, 2 / 3600)))

    assert len(groups[0]) <= 2


@pytest.mark.parametrize("content", [b"", b"PAR1", b"SIMPLE  =  T" * 50])
def test_what_is_no_table_of_sources_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.sources.parquet"
    path.write_bytes(content)

    with pytest.raises(parquet.BadSourceFileError, match=r"a\.sources\.parquet cannot be read"):
        parquet.read(path)


def test_a_damaged_file_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    path = write(tmp_path / "a.sources.parquet", field(rng, 500))
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(parquet.BadSourceFileError):
        parquet.read(path)


def test_another_programs_table_and_another_version_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.sources.parquet"
    plain = pa.table({"healpix": [1]})
    pq.write_table(plain, path)
    with pytest.raises(parquet.BadSourceFileError, match="does not say that it is one"):
        parquet.read(path)

    pq.write_table(plain.replace_schema_metadata({b"coelostat": b'{"format": 99}'}), path)
    with pytest.raises(parquet.BadSourceFileError, match="another version"):
        parquet.read(path)


def test_a_file_that_is_gone_is_told_from_a_bad_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        parquet.read(tmp_path / "gone.sources.parquet")


def test_facts_survive(tmp_path: Path) -> None:
    facts = SourceFacts(radii_pix=(1.5, 3.0), growth=(0.5, 1.0), fwhm_pix=2.5, band=None)
    table = table_of(frame_at(PLACE), np.array([1.0]), np.array([2.0]))

    path = write(tmp_path / "a.sources.parquet", SourceTable(table.columns, facts))

    assert parquet.read(path).facts == facts
