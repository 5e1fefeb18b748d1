"""SELECT on PostgreSQL: the reading role, what it must not reach, and what it may cost."""

import time
from collections import Counter
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, text

from app import paths
from app.db import db, transaction
from app.errors import ConflictError, InvalidRequestError
from app.models import Frame, StoredSetting, User
from app.services import queries, select_postgresql, select_process
from tests import select_role
from tests.factories import make_frame

ATTACKS = {
    "accounts": [
        "select * from users",
        "select password_hash from public.users",
        "select count(*) from public.users",
        "select digest from public.tokens",
        "select * from public.settings",
        "select * from public.audit_log",
        "select detail from public.audit_log",
        "select digest from public.browser_sessions",
        "select digest from public.invitations",
        "select * from public.groups",
        "select user_id from public.group_members",
        "select group_id from public.proposal_groups",
        "select title, abstract from public.proposals",
        "with files_biasblock as (select * from public.users) select * from files_biasblock",
        "select id from files_individualfile union select password_hash from public.users",
        "select query_to_xml('select * from public.users', true, true, '')",
        "select table_to_xml('public.users', true, true, '')",
        (
            "select set_config('role', 'coelostat', true),"
            " query_to_xml('select * from public.users', true, true, '')"
        ),
        "select * from pg_authid",
        "select rolpassword from pg_shadow",
    ],
    "base tables behind the views": [
        "select * from frames",
        "select * from public.frames",
        "select count(*) from public.frames",
        "select header_text from public.frames",
        "select * from public.jobs",
        "select user_id from public.proposal_members",
        "select * from public.blocks",
    ],
    "files and the machine": [
        "select pg_read_file('/etc/passwd')",
        "select pg_read_binary_file('/etc/passwd')",
        "select pg_ls_dir('/')",
        "select pg_stat_file('/etc/passwd')",
        "select lo_import('/etc/passwd')",
        "select lo_export(1, '/tmp/coelostat-evil')",
        "select pg_reload_conf()",
        "select pg_rotate_logfile()",
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'coelostat'",
        "with x as (copy (select 1) to program 'id') select 1",
        "select dblink('dbname=postgres', 'select 1')",
    ],
    "writing": [
        "with x as (delete from public.frames returning *) select * from x",
        "with x as (insert into public.users(username) values('m') returning *) select * from x",
        "with x as (update files_individualfile set isvalid = 0 returning *) select * from x",
        "with x as (delete from files_biasblock returning id) select * from x",
        "select 1; drop table frames",
        "select 1; select 2",
        "select 1; commit; delete from public.frames",
        "select * into z from files_individualfile",
        "select nextval('public.users_id_seq')",
        "select setval('public.users_id_seq', 1)",
        "select * from files_individualfile for update",
    ],
    "time": [
        "select pg_sleep(30)",
        "select count(*) from generate_series(1, 10000000000)",
        "select set_config('statement_timeout', '0', false), pg_sleep(30)",
        (
            "select set_config('statement_timeout', '0', false), (select count(*) from"
            " generate_series(1, 10000000000))"
        ),
        "with recursive n(i) as (select 1 union all select i from n) select count(*) from n",
        "select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b",
    ],
    "memory": [
        "select repeat('x', 2000000000)",
        "select repeat(repeat('x', 100000000), 100)",
        "select length(string_agg(repeat('x', 1000000), '')) from generate_series(1, 2000)",
    ],
    "no query": ["select 1 from", "select nothing from files_individualfile", "select 'a"],
}
ALL_ATTACKS = [(group, sql) for group, some in ATTACKS.items() for sql in some]


@pytest.fixture(autouse=True)
def rows(app: Flask, observer: User) -> None:
    if not select_role.is_postgresql():
        pytest.skip("the database is SQLite, which has tests of its own")
    select_role.set_up(app)
    make_frame("bias")
    make_frame("science", object_name="STRIPE82 0001")
    with transaction():
        db.session.add(StoredSetting(section="query", item="timeout_s", value=1))


def left_over() -> list[str]:
    names = text("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, 'coelostat_select')")
    with db.engine.connect() as connection:
        return list(connection.execute(names).scalars())


def test_attacks_are_refused_and_leave_nothing_behind(
    observer: User, capsys: pytest.CaptureFixture[str]
) -> None:
    def state() -> tuple[Any, ...]:
        frames = db.session.scalar(select(func.count(Frame.id)).where(Frame.is_valid.is_(True)))
        kept = sorted(path.name for path in paths.current().tmp_results.iterdir())
        return frames, db.session.scalar(select(func.count(User.id))), kept, left_over()

    before = state()
    answered, slowest = [], 0.0
    outcomes: Counter[str] = Counter()
    for group, sql in ALL_ATTACKS:
        began = time.monotonic()
        try:
            queries.run(observer, sql)
            answered.append(sql)
        except InvalidRequestError as error:
            assert str(error).strip(". "), sql
            outcomes[group] += 1
        slowest = max(slowest, time.monotonic() - began)

    with capsys.disabled():
        counts = ", ".join(f"{group} {n}" for group, n in outcomes.items())
        print(f"\n{len(ALL_ATTACKS)} attacks, {len(answered)} answered; refused: {counts}")  # noqa: T201
    assert answered == []
    assert state() == before
    assert slowest < 10


@pytest.mark.parametrize(
    "sql",
    ["select schema_to_xml('public', true, true, '')", "select database_to_xml(true, true, '')"],
)
def test_dump_of_everything_has_what_the_role_may_read_only(observer: User, sql: str) -> None:
    result = queries.run(observer, sql)

    dump = queries.result_file(observer, result.file_name).read_text()
    assert "password_hash" not in dump
    assert observer.username not in dump


def test_site_without_a_reading_role_says_so(app: Flask, observer: User) -> None:
    select_role.use(app, "")

    with pytest.raises(InvalidRequestError, match="query_database_url"):
        queries.run(observer, "select 1")


def test_role_that_does_not_exist_is_named(app: Flask, observer: User) -> None:
    select_role.use(app, "nobody_at_all")

    with pytest.raises(InvalidRequestError, match="there is no role nobody_at_all"):
        queries.run(observer, "select 1")


def test_role_that_owns_the_tables_is_refused(app: Flask, observer: User) -> None:
    select_role.use(app, "coelostat")

    with pytest.raises(InvalidRequestError, match="can reach more than it needs"):
        queries.run(observer, "select 1")


@pytest.mark.parametrize(
    "grant",
    [
        "GRANT SELECT ON users TO {role}",
        "GRANT SELECT (id) ON frames TO {role}",
        "GRANT coelostat TO {role}",
        "GRANT pg_read_server_files TO {role}",
    ],
)
def test_role_that_was_granted_more_is_refused(app: Flask, observer: User, grant: str) -> None:
    role = "coelostat_too_much"
    select_role.set_up(app, role)
    with db.engine.connect() as connection:
        connection.exec_driver_sql(grant.format(role=role))
        connection.commit()

    with pytest.raises(InvalidRequestError, match="can reach more than it needs"):
        queries.run(observer, "select 1")

    with db.engine.connect() as connection:
        undo = grant.replace("GRANT", "REVOKE").replace(" TO ", " FROM ")
        connection.exec_driver_sql(undo.format(role=role))
        connection.commit()


def test_views_of_a_process_that_died_are_dropped(observer: User) -> None:
    with db.engine.connect() as connection:
        connection.exec_driver_sql("CREATE SCHEMA coelostat_select_0123")
        connection.commit()

    queries.run(observer, "select 1")

    assert left_over() == []


def test_one_query_runs_at_a_time(observer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select_process, "PATIENCE_S", 0.1)

    with (
        db.engine.connect() as connection,
        select_postgresql._turn(connection),
        pytest.raises(ConflictError, match="try again"),
    ):
        queries.run(observer, "select 1")
