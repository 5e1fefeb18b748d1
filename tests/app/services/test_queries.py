"""The SELECT door: what it answers, whose rows it shows, and what it refuses."""

import csv
import os
import time

import pytest
from flask import Flask

from app import paths
from app.db import db, transaction
from app.errors import InvalidRequestError, NotFoundError
from app.models import Job, JobState, Proposal, StoredSetting, User
from app.services import queries, settings
from tests import select_role
from tests.factories import make_block, make_frame, make_user

TABLES = (
    "files_individualfile",
    "files_individualfiles",
    "files_finaltiles",
    "files_biasblock",
    "files_flatbyfilter",
    "files_flatsblock",
    "files_scibyfilter",
    "files_sciblock",
    "files_superflat",
    "files_fieldimages",
    "process_operations",
)

GOOD = {
    "select count(*) from files_individualfile": [["2"]],
    "select count(*) from (select band from files_individualfiles group by band) x": [["2"]],
    "with x as (select * from files_individualfile) select count(*) from x": [["2"]],
    "with recursive n(i) as (select 1 union all select i+1 from n where i<3) select i from n": [
        ["1"],
        ["2"],
        ["3"],
    ],
    "SELECT file_type, count(*), avg(exptime) FROM files_individualfile "
    "GROUP BY file_type ORDER BY 1": [["BIAS", "1", "0.0"], ["SCI", "1", "30.0"]],
    ";select 1": [["1"]],
    "select 1;": [["1"]],
    "-- the first\n/* comment */ select 'a,b'": [["a,b"]],
    "select id, isvalid from files_biasblock where blockEndDate = '2026-11-21'": [["1", "1"]],
    "select f.id, row_number() over (order by f.id) from files_individualfile f limit 1": [
        ["1", "1"]
    ],
    "select upper(substr(field, 1, 4)) from files_individualfile where field like 'STRIPE%'": [
        ["STRI"]
    ],
    "select * from files_finaltiles": [],
}


@pytest.fixture(autouse=True)
def rows(app: Flask, observer: User) -> None:
    select_role.set_up(app)
    bias = make_frame("bias")
    make_frame("science", object_name="STRIPE82 0001")
    make_block("bias", [bias])
    with transaction():
        db.session.add(StoredSetting(section="query", item="timeout_s", value=1))


def answer(user: User, sql: str) -> list[list[str]]:
    result = queries.run(user, sql)
    text = queries.result_file(user, result.file_name).read_text()
    lines = list(csv.reader(text.splitlines()))
    assert len(lines) == result.n_rows + 1
    return lines[1:]


@pytest.mark.parametrize("sql", GOOD)
def test_select_answers(observer: User, sql: str) -> None:
    assert answer(observer, sql) == GOOD[sql]


@pytest.mark.parametrize("table", TABLES)
def test_every_documented_table_can_be_read(observer: User, table: str) -> None:
    answer(observer, f"select * from {table}")  # noqa: S608 - a name of the list above
    answer(observer, f"select count(*), count(id) from {table}")  # noqa: S608 - the same


def test_huge_answer_is_cut_at_the_row_limit_and_says_so(observer: User, staff: User) -> None:
    settings.change("query", "max_rows", 10, by=staff)
    numbers = "with recursive n(i) as (select 1 union all select i+1 from n) select i from n"

    result = queries.run(observer, numbers)

    assert (result.n_rows, result.is_truncated) == (10, True)


def test_unknown_table_is_answered_with_the_tables_there_are(observer: User) -> None:
    with pytest.raises(InvalidRequestError, match="nowhere.*files_biasblock"):
        queries.run(observer, "select * from nowhere")


@pytest.mark.parametrize("sql", ["", " ", "garbage", "values (1)", "drop table frames", "; -- x"])
def test_what_is_no_select_is_refused_before_it_runs(observer: User, sql: str) -> None:
    with pytest.raises(InvalidRequestError, match="Only one SELECT"):
        queries.run(observer, sql)


def test_refusal_of_a_slow_query_says_what_to_do(observer: User) -> None:
    endless = "with recursive n(i) as (select 1 union all select i+1 from n) select count(*) from n"

    with pytest.raises(InvalidRequestError, match="took longer than 1 s and was stopped"):
        queries.run(observer, endless)


def test_members_only_site_shows_rows_of_own_proposals_only(
    app: Flask, observer: User, staff: User
) -> None:
    other = make_user("other")
    with transaction():
        secret = Proposal(code="P1", members=[other])
        db.session.add(secret)
    make_frame("science", proposal=secret, file_name="secret.fits")
    settings.change("access", "visibility", "members", by=staff)
    query = "select file_name from files_individualfile where file_name = 'secret.fits'"

    assert answer(observer, query) == []
    assert answer(other, query) == [["secret.fits"]]
    assert answer(staff, query) == [["secret.fits"]]


def test_operations_are_the_callers_own(observer: User) -> None:
    other = make_user("other")
    for owner in (observer, other):
        with transaction():
            db.session.add(
                Job(function="x.y", label=owner.username, owner_id=owner.id, state=JobState.DONE)
            )

    assert answer(observer, "select operation from process_operations") == [["observer"]]


def test_result_belongs_to_who_asked(observer: User, staff: User) -> None:
    other = make_user("other")
    result = queries.run(observer, "select 42 as n")

    own = queries.result_file(observer, queries.NEWEST)

    assert own.read_text() == "n\n42\n"
    assert queries.result_file(staff, result.file_name) == own
    with pytest.raises(NotFoundError):
        queries.result_file(other, result.file_name)
    with pytest.raises(NotFoundError):
        queries.result_file(other, queries.NEWEST)


def test_only_the_last_few_results_are_kept(observer: User) -> None:
    for number in range(queries.KEPT_RESULTS + 2):
        queries.run(observer, f"select {number}")

    kept = list(paths.current().tmp_results.iterdir())

    assert len(kept) == queries.KEPT_RESULTS
    assert queries.result_file(observer, queries.NEWEST).read_text().endswith("6\n")


def test_what_a_killed_process_left_is_swept_after_a_day(observer: User) -> None:
    folder = paths.current().tmp_results
    old, young = folder / ".query_u1_old.csv", folder / ".query_u1_young.csv"
    for path in (old, young):
        path.write_text("half")
    long_ago = time.time() - queries.PARTIAL_KEPT_S - 60
    os.utime(old, (long_ago, long_ago))

    queries.run(observer, "select 1")

    assert not old.exists()
    assert young.exists()
