import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from app.errors import InvalidRequestError
from app.services import task_tables
from app.services.task_tables import Part, shown


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    path = tmp_path / "objects.parquet"
    columns = {
        "mag": [13.0, float("nan"), 11.0, 12.0],
        "name": ["d", "a", "c", None],
        "shape": [[1.0], [2.0], [3.0], [4.0]],
    }
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def votable(tmp_path: Path) -> Path:
    path = tmp_path / "target.vot"
    table = Table({"ra": [10.0, 11.0], "mag_filter_name": ["r", "r"]}, masked=True)
    table["mag"] = np.ma.masked_array([12.5, 0.0], [False, True])
    table.write(path, format="votable")
    return path


def test_rows_come_in_order_and_those_without_a_value_last(parquet: Path) -> None:
    up = [row[0] for row in shown(parquet, Part("mag")).rows]
    down = [row[0] for row in shown(parquet, Part("-mag")).rows]

    assert up == [11.0, 12.0, 13.0, None]
    assert down == [13.0, 12.0, 11.0, None]


def test_part_says_how_many_there_are(parquet: Path) -> None:
    part = shown(parquet, Part("mag", first=1, count=2))

    assert (part.total, part.first, [row[0] for row in part.rows]) == (4, 1, [12.0, 13.0])


def test_columns_of_several_values_are_left_out_and_names_chosen(parquet: Path) -> None:
    assert [column.name for column in shown(parquet, Part()).columns] == ["mag", "name"]
    chosen = shown(parquet, Part(), names=("ra", "name"))
    assert [column.name for column in chosen.columns] == ["name"]


def test_votable_is_read_with_what_it_does_not_say(votable: Path) -> None:
    found = shown(votable, Part())
    at = [column.name for column in found.columns].index("mag")

    assert [row[at] for row in found.rows] == [12.5, None]
    assert found.total == 2


@pytest.mark.parametrize("content", [b"", b"nonsense", b"<VOTABLE/>"])
@pytest.mark.parametrize("name", ["a.parquet", "a.vot"])
def test_what_is_no_table_is_told(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InvalidRequestError, match="cannot be read as a table"):
        task_tables.read(tmp_path / name)


def test_table_too_large_to_be_shown_is_not_read(
    parquet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_tables, "LARGEST", 10)

    with pytest.raises(InvalidRequestError, match="too large"):
        task_tables.read(parquet)


AT = '<BINARY><STREAM href="{}"/></BINARY>'
VOT = """<?xml version="1.0"?><VOTABLE version="1.3"><RESOURCE><TABLE{nrows}>
<FIELD name="c" datatype="char" arraysize="{size}"/>
<DATA>{data}</DATA></TABLE></RESOURCE></VOTABLE>"""


@pytest.mark.parametrize("name", ["objects.vot", "target.vot"])
@pytest.mark.parametrize(
    "data",
    [
        AT.format("file://{secret}"),
        AT.format("http://127.0.0.1:1/"),
        AT.format("ftp://127.0.0.1:1/"),
        '<FITS extnum="1"><STREAM href="file://{secret}"/></FITS>',
        '<PARQUET type="VOTable-remote-file"><STREAM href="file://{secret}"/></PARQUET>',
        "<BINARY2><STREAM encoding='gzip' href='file://{secret}'/></BINARY2>",
    ],
)
def test_rows_that_lie_elsewhere_are_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret_key=abcdef" * 10)
    path = tmp_path / name
    path.write_text(VOT.format(nrows="", size=16, data=data.format(secret=secret)))
    asked: list[object] = []
    monkeypatch.setattr("urllib.request.urlopen", asked.append)

    with pytest.raises(InvalidRequestError, match="rows in another place"):
        shown(path, Part())

    assert asked == []


@pytest.mark.parametrize(
    ("nrows", "size"), [(' nrows="99999999999"', "1"), ("", "99999999"), (' nrows="+200"', "90000")]
)
def test_votable_that_promises_too_much_is_not_read(tmp_path: Path, nrows: str, size: str) -> None:
    path = tmp_path / "target.vot"
    rows = "<TABLEDATA><TR><TD>a</TD></TR></TABLEDATA>"
    path.write_text(VOT.format(nrows=nrows, size=size, data=rows))

    with pytest.raises(InvalidRequestError, match="too large"):
        task_tables.read(path)


def test_packed_votable_is_not_unpacked(votable: Path) -> None:
    votable.write_bytes(gzip.compress(votable.read_bytes()))

    with pytest.raises(InvalidRequestError, match="cannot be read"):
        task_tables.read(votable)


def test_parquet_that_packs_well_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "objects.parquet"
    n = task_tables.MOST_VALUES // 2 + 1
    zeros = pa.array(np.zeros(n, np.int8))
    pq.write_table(pa.table({"x": zeros, "y": zeros}), path)
    monkeypatch.setattr(pq.ParquetFile, "read", None)

    with pytest.raises(InvalidRequestError, match="too large to be shown"):
        task_tables.read(path)

    monkeypatch.undo()
    assert len(task_tables.read(path, names=["x"])["x"]) == n


def test_text_that_stands_in_every_row_takes_its_room_once(tmp_path: Path) -> None:
    path = tmp_path / "objects.parquet"
    pq.write_table(pa.table({"name": ["word" * 1000] * 50 + [None]}), path, row_group_size=17)

    names = task_tables.read(path)["name"]

    assert names.tolist() == ["word" * 1000] * 50 + [None]
    assert names[0] is names[1]


def test_order_by_nothing_there_is_refused(parquet: Path) -> None:
    with pytest.raises(InvalidRequestError, match="no column"):
        shown(parquet, Part("flux"))
