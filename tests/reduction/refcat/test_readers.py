import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table

from reduction.refcat import readers, textfile
from reduction.refcat.columns import RawChunk
from reduction.refcat.errors import BadCatalogueError
from reduction.refcat.readers import open_file

N = 500
WANTED = ["RAJ2000", "DEJ2000", "objID", "Vmag"]
WHOLE = frozenset({"objID"})


@pytest.fixture(autouse=True)
def many_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(readers, "CHUNK_ROWS", 64)
    monkeypatch.setattr(textfile, "BLOCK_BYTES", 1000)
    yield


@pytest.fixture
def rows() -> Table:
    rng = np.random.default_rng(1)
    table = Table(
        {
            "name": [f"star, {i}" for i in range(N)],
            "objID": 1237650000000000001 + np.arange(N),  # floats have no room for these
            "RAJ2000": rng.uniform(0, 360, N),
            "DEJ2000": rng.uniform(-90, 90, N),
            "Vmag": rng.uniform(8, 20, N).round(3),
        }
    )
    table["RAJ2000"].unit = table["DEJ2000"].unit = "deg"
    return table


def lines(rows: Table, mark: str, *, names: bool = True, quote: str = '"') -> str:
    text = [mark.join(rows.colnames)] if names else []
    for name, *numbers in zip(*(rows[column].tolist() for column in rows.colnames), strict=True):
        text.append(mark.join([f"{quote}{name}{quote}", *map(repr, numbers)]))
    return "\n".join(text) + "\n"


def vizier(rows: Table) -> str:
    head, rest = lines(rows, "\t", quote="").split("\n", 1)
    units, dashes = "\t\tdeg\tdeg\tmag", "-----\t----\t---\t---\t----"
    return f"#\n#   VizieR Astronomical Server\n#\n\n{head}\n{units}\n{dashes}\n{rest}\n#END#\n"


def write_text(kind: str) -> Callable[[Table, Path], object]:
    makers: dict[str, Callable[[Table], str]] = {
        "csv": lambda rows: lines(rows, ","),
        "windows": lambda rows: lines(rows, ",").replace("\n", "\r\n"),
        "semicolon": lambda rows: lines(rows, ";"),
        "ecsv": lambda rows: "# %ECSV 1.0\n# ---\n" + lines(rows, ","),
        "vizier": vizier,
        "no-end": lambda rows: lines(rows, ",").rstrip("\n"),
        "blanks": lambda rows: lines(rows["objID", "RAJ2000", "DEJ2000", "Vmag"], "   ", quote=""),
    }
    return lambda rows, path: path.write_bytes(makers[kind](rows).encode())


def write_parquet(rows: Table, path: Path) -> None:
    columns = {name: pa.array(rows[name].tolist()) for name in rows.colnames}
    pq.write_table(pa.table(columns), path, row_group_size=100)


WRITERS: dict[str, Callable[[Table, Path], object]] = {
    **{kind: write_text(kind) for kind in ("csv", "windows", "semicolon", "ecsv", "vizier")},
    **{kind: write_text(kind) for kind in ("no-end", "blanks")},
    "gzip": lambda rows, path: path.write_bytes(gzip.compress(lines(rows, ",").encode())),
    "fits": lambda rows, path: rows.write(path, format="fits"),
    "parquet": write_parquet,
    "votable": lambda rows, path: rows.write(path, format="votable", tabledata_format="tabledata"),
    "votable2": lambda rows, path: rows.write(path, format="votable", tabledata_format="binary2"),
    "votable1": lambda rows, path: rows.write(path, format="votable", tabledata_format="binary"),
}


def read(path: Path, wanted: list[str], whole: frozenset[str] = WHOLE) -> list[RawChunk]:
    return list(open_file(path).chunks(wanted, whole))


def column(chunks: list[RawChunk], name: str) -> np.ndarray:
    return np.concatenate([chunk.columns[name] for chunk in chunks])


@pytest.mark.parametrize("kind", WRITERS)
def test_file_of_any_kind_gives_its_numbers_in_pieces(
    kind: str, rows: Table, tmp_path: Path
) -> None:
    WRITERS[kind](rows, tmp_path / "file")

    chunks = read(tmp_path / "file", WANTED)

    assert len(chunks) > 1 or kind in ("votable1", "votable2")
    for name in WANTED:
        assert np.array_equal(column(chunks, name), rows[name]), name
    assert column(chunks, "objID").dtype == np.int64
    assert chunks[-1].done == pytest.approx(1.0)
    assert not any(chunk.text or chunk.ragged for chunk in chunks)


@pytest.mark.parametrize("kind", ["fits", "votable"])
def test_units_a_file_states_are_told(kind: str, rows: Table, tmp_path: Path) -> None:
    WRITERS[kind](rows, tmp_path / "file")

    assert open_file(tmp_path / "file").units["RAJ2000"] == "deg"


def test_votable_with_its_rows_in_another_place_is_refused(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.write_bytes(bytes(80))
    path = tmp_path / "file"
    path.write_text(
        '<VOTABLE version="1.3"><RESOURCE><TABLE><FIELD name="ra" datatype="double"/><DATA>'
        f'<BINARY><STREAM href="file://{rows}"/></BINARY></DATA></TABLE></RESOURCE></VOTABLE>'
    )

    with pytest.raises(BadCatalogueError, match="rows in another place"):
        read(path, ["ra"], frozenset())


def test_text_blanks_and_ragged_rows_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("ra,dec,V\n1,2,15\n3,4,faint\n5,x y,16\n7,8\n9,10,\n11,12,null\n13,14,-\n")

    chunks = read(path, ["ra", "dec", "V"], frozenset())

    assert column(chunks, "ra").tolist() == [1, 3, 5, 9, 11, 13]
    assert np.isnan(column(chunks, "V")).tolist() == [False, True, False, True, True, True]
    assert [chunk.text for chunk in chunks] == [{"dec": (1, "x y"), "V": (1, "faint")}]
    assert sum(chunk.ragged for chunk in chunks) == 1


def test_identifiers_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("ra,dec,id\n1,2,TYC 1-2-3\n")

    with pytest.raises(BadCatalogueError, match="leave id= away"):
        read(path, ["ra", "dec", "id"], frozenset({"id"}))


def test_missing_identifiers_are_minus_one(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("ra,id\n1,7\n2,\n3,\n")

    assert column(read(path, ["ra", "id"], frozenset({"id"})), "id").tolist() == [7, -1, -1]


def test_numbers_alone_have_numbered_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.cat"
    path.write_text("173.46 0.565 20.467 0.029\n173.51 0.601 15.838 0.004\n")

    assert open_file(path).names == ("1", "2", "3", "4")
    assert column(read(path, ["3"], frozenset()), "3").tolist() == [20.467, 15.838]


def test_names_in_a_comment_above_numbers_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.cat"
    path.write_text("# made by hand\n# ra dec r\n173.46 0.565 20.467\n")

    assert open_file(path).names == ("ra", "dec", "r")


def test_missing_whole_numbers_of_a_fits_table_are_blank(tmp_path: Path) -> None:
    columns = [
        fits.Column("ra", "D", array=[1.0, 2.0]),
        fits.Column("mag", "J", array=[15, -99], null=-99),
        fits.Column("id", "K", array=[-7, 5], null=-7),
    ]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "a.fits")

    chunks = read(tmp_path / "a.fits", ["ra", "mag", "id"], frozenset({"id"}))

    assert np.isnan(column(chunks, "mag")).tolist() == [False, True]
    assert column(chunks, "id").tolist() == [-1, 5]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"# nothing\n# here\n", "no line that is not a comment"),
        (b"\x00\x01\x02\x03" * 100, "none of CSV, FITS table, VOTable and Parquet"),
        (b"PAR1 and no more", "cannot be read as Parquet"),
        (b"SIMPLE  = and no more", "cannot be read as FITS"),
        (b"<?xml version='1.0'?><VOTABLE><RESOURCE>", "broken XML|without a table"),
        (b"<?xml version='1.0'?><VOTABLE></VOTABLE>", "without a table"),
        (b"\x1f\x8b and no more", "cannot be unpacked"),
        (gzip.compress(b"\0" * 5000, mtime=0), "only text may be packed"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_files_that_are_no_catalogue_are_refused_in_words(
    content: bytes, words: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(content)

    with pytest.raises(BadCatalogueError, match=words):
        read(tmp_path / "file", ["ra"])


def test_image_is_no_table(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(tmp_path / "a.fits")

    with pytest.raises(BadCatalogueError, match="FITS file without a table"):
        open_file(tmp_path / "a.fits")


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCatalogueError, match="No such file"):
        open_file(tmp_path / "none.csv")
