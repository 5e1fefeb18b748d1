"""What VizieR sends, understood: rows, ends, errors, and the sky an answer is of."""

from pathlib import Path

import numpy as np
import pytest

from reduction.refcat.errors import BadCatalogueError
from reduction.refcat.load import Loading, load
from reduction.refcat.regions import Cone
from reduction.refcat.store import Catalogue
from reduction.refcat.vizier import TABLES
from reduction.refcat.vizieranswers import answer_of, covered

CONE = Cone(150.0, 20.0, 0.3)
# As VizieR writes it: words for people between what programs read, cells in lines of their own.
HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<VOTABLE version="1.4" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xmlns="http://www.ivoa.net/xml/VOTable/v1.3"
  xsi:schemaLocation="http://www.ivoa.net/xml/VOTable/v1.3 http://www.ivoa.net/xml/VOTable/v1.3">
<DESCRIPTION>
   VizieR Astronomical Server vizier.cds.unistra.fr
    Date: 2026-11-21T18:30:12 [V7.4.6]
   Explanations and Statistics of UCDs:\t\t\tSee LINK below
   In case of problem, please report to:\tcds-question@unistra.fr
   In this version, NULL integer columns are written as an empty string
   &lt;TD&gt;&lt;/TD&gt;, explicitely possible from VOTable-1.3
</DESCRIPTION>
<!-- VOTable description at http://www.ivoa.net/Documents/latest/VOT.html -->
<INFO ID="VERSION" name="votable-version" value="1.99+ (14-Oct-2013)"/>
<INFO ID="Ref" name="-ref" value="VIZ69208a1c2d41e"/>
<INFO ID="MaxTuples" name="-out.max" value="200000"/>
<INFO name="CatalogsExamined" value="1">
  1 catalogue(s) with potential matches were examined.
</INFO>
<INFO ID="Target" name="-c" value="150.000000+20.000000,rd=0.3"/>
"""
TABLE = """<RESOURCE ID="yCat_1360" name="I/360">
  <DESCRIPTION>Gaia DR3 Part 6. Performance verification (Gaia Collaboration, 2022)</DESCRIPTION>
  <COOSYS ID="J2000_2016.000" system="ICRS" epoch="2016.000"/>
  <COOSYS ID="J2000" system="eq_FK5" equinox="J2000"/>
  <TABLE ID="I_360_syntphot" name="I/360/syntphot">
    <DESCRIPTION>Synthetic photometry (GSPC) table</DESCRIPTION>
    <FIELD name="Source" ucd="meta.id;meta.main" datatype="long" width="19"/>
    <FIELD name="RA_ICRS" ucd="pos.eq.ra;meta.main" ref="J2000_2016.000" datatype="double"
      width="15" precision="11" unit="deg"/>
    <FIELD name="DE_ICRS" ucd="pos.eq.dec;meta.main" ref="J2000_2016.000" datatype="double"
      width="15" precision="11" unit="deg"/>
    <FIELD name="FU" ucd="phot.flux" datatype="float" unit="W/m2/nm"/>
    <FIELD name="e_FU" ucd="stat.error;phot.flux" datatype="float" unit="W/m2/nm"/>
    <FIELD name="Umag" ucd="phot.mag;em.opt.U" datatype="float" unit="mag"/>
    <FIELD name="Fu" ucd="phot.flux" datatype="float" unit="W/m2/Hz"/>
    <FIELD name="e_Fu" ucd="stat.error;phot.flux" datatype="float" unit="W/m2/Hz"/>
    <FIELD name="umag" ucd="phot.mag;em.opt.U" datatype="float" unit="mag"/>
    <FIELD name="FV" ucd="phot.flux" datatype="float" unit="W/m2/nm"/>
    <FIELD name="e_FV" ucd="stat.error;phot.flux" datatype="float" unit="W/m2/nm"/>
    <FIELD name="Vmag" ucd="phot.mag;em.opt.V" datatype="float" unit="mag"/>
    <FIELD name="_RAJ2000" ucd="pos.eq.ra" ref="J2000" datatype="double" unit="deg"/>
    <FIELD name="_DEJ2000" ucd="pos.eq.dec" ref="J2000" datatype="double" unit="deg"/>
<DATA><TABLEDATA>
"""
BRIGHT = (
    "<TR>\t<TD>627529398182475520</TD><TD>150.01230000000</TD><TD>+20.10000000000</TD>"
    "<TD>3.0e-18</TD><TD>6.0e-20</TD><TD>17.857</TD><TD>2.0e-31</TD><TD>5.0e-33</TD><TD>18.7</TD>"
    "<TD>1.25e-17</TD><TD>1.25e-19</TD><TD>16.123</TD>"
    "<TD>150.01230000001</TD><TD>+20.10000000001</TD></TR>\n"
)
# Too faint in U for a magnitude: VizieR leaves the cells empty.
FAINT = (
    "<TR>\t<TD>627529398182475521</TD><TD>149.90000000000</TD><TD>+19.95000000000</TD>"
    "<TD></TD><TD></TD><TD></TD><TD></TD><TD></TD><TD></TD>"
    "<TD>2.5e-18</TD><TD>5.0e-20</TD><TD>17.870</TD>"
    "<TD>149.90000000001</TD><TD>+19.95000000001</TD></TR>\n"
)
END = "</TABLEDATA></DATA>\n</TABLE>\n</RESOURCE>\n"
OVERFLOW = (
    '<INFO name="QUERY_STATUS" value="OVERFLOW">\n -- truncated result (2 records)\n</INFO>\n'
)
CLOSED = "</VOTABLE>\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "answer.vot"
    path.write_text(text)
    return path


def test_answer_is_counted_and_whole(tmp_path: Path) -> None:
    answer = answer_of(written(tmp_path, HEAD + TABLE + BRIGHT + FAINT + END + CLOSED))

    assert (answer.n_rows, answer.is_cut) == (2, False)


def test_answer_that_says_there_is_more_is_known_as_cut(tmp_path: Path) -> None:
    answer = answer_of(written(tmp_path, HEAD + TABLE + BRIGHT + FAINT + END + OVERFLOW + CLOSED))

    assert (answer.n_rows, answer.is_cut) == (2, True)


def test_sky_without_stars_is_an_answer_without_a_table(tmp_path: Path) -> None:
    answer = answer_of(written(tmp_path, HEAD + CLOSED))

    assert (answer.n_rows, answer.is_cut) == (0, False)


@pytest.mark.parametrize(("text", "words"), [
    (HEAD + '<INFO ID="Errors" name="Errors" value="Table not found: I/360/x"/>\n' + CLOSED,
     "answered with an error: Table not found: I/360/x"),
    (HEAD + '<INFO name="QUERY_STATUS" value="ERROR">\n -- no connection\n</INFO>\n' + CLOSED,
     "answered with an error: ERROR"),
    (HEAD + TABLE + BRIGHT, "is no VOTable, or was cut off"),
    ("<html><body>503 Service Unavailable</body></html>", "is no VOTable"),
    ("", "is no VOTable"),
    (HEAD + TABLE.replace("TABLEDATA", "BINARY2") + CLOSED, "not plain text|cut off"),
])  # fmt: skip
def test_answers_that_are_none_are_refused_in_words(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(BadCatalogueError, match=words):
        answer_of(written(tmp_path, text))


def test_no_error_is_seen_where_the_word_alone_stands(tmp_path: Path) -> None:
    quiet = '<INFO ID="Errors" name="Errors" value=""/>\n'

    answer = answer_of(written(tmp_path, HEAD + quiet + TABLE + BRIGHT + FAINT + END + CLOSED))

    assert answer.n_rows == 2


def test_whole_survey_covers_the_cone_that_was_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + TABLE + BRIGHT + FAINT + END + CLOSED)

    sky = covered(TABLES["gaiadr3syn"], path, CONE)

    assert sky.is_declared
    assert sky.square_degrees == pytest.approx(np.pi * 0.3**2, rel=0.1)


def stars_in_the_east(path: Path) -> Path:
    """Write an answer of Pan-STARRS that has stars in one half of the cone."""
    rng = np.random.default_rng(3)
    ra, dec = 150 + rng.uniform(0, 0.3, 3000), rng.uniform(-30.3, -29.7, 3000)
    near = np.hypot((ra - 150) * np.cos(np.radians(30)), dec + 30) < 0.3
    rows = "".join(
        f"<TR>\t<TD>{a:.6f}</TD><TD>{d:+.6f}</TD><TD>16.1</TD></TR>\n"
        for a, d in zip(ra[near], dec[near], strict=True)
    )
    columns = ("RAJ2000", "deg"), ("DEJ2000", "deg"), ("rmag", "mag")
    fields = "".join(
        f'<FIELD name="{name}" datatype="double" unit="{unit}"/>\n' for name, unit in columns
    )
    table = f'<RESOURCE name="II/349"><TABLE name="II/349/ps1">\n{fields}<DATA><TABLEDATA>\n'
    path.write_text(HEAD + table + rows + END + CLOSED)
    return path


def test_beyond_the_edge_of_a_survey_is_not_covered(tmp_path: Path) -> None:
    path = stars_in_the_east(tmp_path / "ps1.vot")

    sky = covered(TABLES["ps1"], path, Cone(150.0, -30.0, 0.3))

    half = np.pi * 0.3**2 / 2
    assert not sky.is_declared
    assert 0.8 * half < sky.square_degrees < 1.5 * half


def test_errors_of_synthetic_magnitudes_follow_from_those_of_fluxes(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + TABLE + BRIGHT + FAINT + END + CLOSED)
    table = TABLES["gaiadr3syn"]
    what = Loading("gaiadr3syn", "synthetic", 2016.0, table.column_map)

    load(tmp_path / "store", [path], what, lambda _stage, _done: None)

    stars = Catalogue.newest(tmp_path / "store").cone(150.0, 20.0, 0.3)
    order = np.argsort(stars.mag["V"])
    assert stars.error["V"][order] == pytest.approx([0.010857, 0.021715], rel=1e-3)
    assert stars.error["U"][order][0] == pytest.approx(0.021715, rel=1e-3)
    assert stars.error["u"][order][0] == pytest.approx(0.027143, rel=1e-3)
    assert np.isnan(stars.error["U"][order][1])
    assert {band.name: band.has_error for band in stars.bands} == {"U": True, "V": True, "u": True}
    assert {"FV", "e_FV", "Fu", "e_FU"} <= set(table.columns)
    assert not any("/" in column for column in table.columns)
