"""SELECT on SQLite: what it must not reach, and what it may cost."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from app import paths
from app.db import db, transaction
from app.errors import ConflictError, InvalidRequestError
from app.models import Frame, StoredSetting, User
from app.services import queries, select_process, select_sqlite, select_views, settings
from app.services.select_child import connect
from tests import select_role
from tests.factories import make_block, make_frame


@pytest.fixture(autouse=True)
def rows(app: Flask, observer: User) -> None:
    if select_role.is_postgresql():
        pytest.skip("the database is PostgreSQL, which has tests of its own")
    make_block("bias", [make_frame("bias")])
    make_frame("science", object_name="STRIPE82 0001")
    with transaction():
        db.session.add(StoredSetting(section="query", item="timeout_s", value=1))


def answer(user: User, sql: str) -> list[str]:
    result = queries.run(user, sql)
    return queries.result_file(user, result.file_name).read_text().splitlines()[1:]


# Each group: what an attacker is after, and the ways to it.
ATTACKS = {
    "other files": [
        "ATTACH DATABASE '/etc/passwd' AS x",
        "ATTACH '/tmp/coelostat-evil.db' AS e",
        "select 1; ATTACH '/tmp/coelostat-evil.db' AS e",
        "select load_extension('/tmp/x.so')",
        "select writefile('/tmp/coelostat-evil.db','y')",
        "select readfile('/etc/passwd')",
        "select edit('x')",
        "select fts3_tokenizer('a')",
        "VACUUM INTO '/tmp/coelostat-evil.db'",
        "with x as (select 1) select * from fsdir('/etc')",
    ],
    "accounts": [
        "select * from users",
        "select password_hash from users",
        "select * from main.users",
        'select * from "users"',
        "select * from [users]",
        "select (select password_hash from users limit 1)",
        "select id from files_individualfile union select password_hash from users",
        "select count(*) from users",
        "select 1 where exists(select 1 from tokens)",
        "select digest from tokens",
        "select * from settings",
        "select * from audit_log",
        "select detail from audit_log",
        "select digest from browser_sessions",
        "select count(*) from browser_sessions",
        "select digest from invitations",
        "select * from main.invitations",
        "select name from groups",
        "select * from 'groups'",
        "select user_id from group_members",
        "select group_id from proposal_groups",
        "select title, abstract from proposals",
        "select reduction from proposals",
        "select id from files_individualfile union select digest from browser_sessions",
        "with files_sciblock as (select digest from invitations) select * from files_sciblock",
        "select id from files_individualfile where (select 1 from invitations limit 1)",
        "select * from events",
        "select username from files_individualfile, users",
        "with files_biasblock as (select * from users) select * from files_biasblock",
        (
            "with files_individualfile as (select password_hash from users)"
            " select * from files_individualfile"
        ),
        (
            "with recursive files_biasblock(a) as (select password_hash from users union all"
            " select a from files_biasblock) select a from files_biasblock"
        ),
        "select * from (select password_hash from users) as files_biasblock",
        (
            "select (with files_biasblock as (select password_hash as p from users)"
            " select p from files_biasblock)"
        ),
        "select id from files_individualfile order by (select password_hash from users)",
        "select id from files_individualfile group by (select password_hash from users)",
        "select id from files_individualfile where (select 1 from users where username like 'a%')",
    ],
    "base tables behind the views": [
        "select * from frames",
        "select count(*) from frames",
        "select count(*) from FRAMES as f",
        "select count(*) from users u, files_individualfile",
        "select 1 from 'users'",
        "select count(*) from main.[Users]",
        "select header_text from frames",
        "select * from main.frames",
        "with files_individualfile as (select * from frames) select * from files_individualfile",
        "with files_individualfile as (select path from frames) select * from files_individualfile",
        "with files_biasblock(x) as (select id from blocks) select x from files_biasblock",
        "with process_operations as (select label from jobs) select * from process_operations",
        "select * from blocks",
        "select * from jobs",
        "select id from proposals",
        "select user_id from proposal_members",
        "select rowid from frames",
        "select frames.header_text from files_individualfile",
    ],
    "the schema and the program": [
        "select sql from sqlite_master",
        "select * from sqlite_schema",
        "select * from sqlite_temp_master",
        "select count(*) from sqlite_temp_schema",
        "select sql from temp.sqlite_temp_master",
        "select * from sqlite_stat1",
        "select * from sqlite_sequence",
        "select * from dbstat",
        "select * from pragma_table_info('users')",
        "select count(*) from pragma_database_list",
        "select * from pragma_function_list",
        "PRAGMA table_info(users)",
        "PRAGMA query_only=OFF",
        "PRAGMA writable_schema=1",
        "explain select 1",
        "explain query plan select * from files_individualfile",
        "select sqlite_version()",
        "select sqlite_compileoption_get(1)",
        "select last_insert_rowid()",
        "select * from bytecode('select 1')",
    ],
    "writing": [
        "insert into blocks(kind) values('x')",
        "update frames set is_valid=0",
        "delete from frames",
        "drop table frames",
        "create table z(a)",
        "create temp table z(a)",
        "create temp view z as select 1",
        "create temp trigger x after insert on frames begin select 1; end",
        "create virtual table t using fts5(a)",
        "VACUUM",
        "REINDEX",
        "ANALYZE",
        "BEGIN EXCLUSIVE",
        "SAVEPOINT a",
        "COMMIT",
        "DETACH main",
        "with x as (select 1) insert into frames(kind) select 'x'",
        "with x as (select 1) update frames set is_valid=0",
        "with x as (select 1) delete from frames",
        "select 1; drop table frames",
        "select 1; delete from frames",
        "-- c\n/* x */ DELETE FROM frames",
        "replace into frames(id) values(1)",
        "select 1 returning 1",
    ],
    "time": [
        "with recursive n(i) as (select 1 union all select i+1 from n) select count(*) from n",
        "with recursive n(i) as (select 1 union all select i+1 from n) select i from n order by i",
        (
            "with recursive n(i) as (select 1 union all select i+1 from n where i < 9000)"
            " select count(*) from n a, n b, n c"
        ),
        "select 'a' like '" + "%a" * 200 + "b'",
    ],
    "memory": [
        "select printf('%.*c',1000000000,'x')",
        "select format('%1000000000d',1)",
        "select zeroblob(2000000000)",
        "select length(zeroblob(900000000))",
        "select hex(zeroblob(500000000))",
        "select randomblob(1000000000)",
        "select quote(zeroblob(100000000))",
        "select replace('x','x','y')",
        "select group_concat(file_name) from files_individualfile",
        "select string_agg(file_name, ',') from files_individualfile",
        "select json_group_array(file_name) from files_individualfile",
        (
            "with recursive b(s,i) as (select 'xxxxxxxxxx',1 union all select s||s,i+1 from b"
            " where i<40) select length(s) from b"
        ),
        (
            "with recursive b(s,i) as (select 'xxxxxxxxxx',1 union all select s||s,i+1 from b"
            " where i<16), c(s,i) as (select s,1 from b union all select s||'y',i+1 from c)"
            " select s from c order by s"
        ),
        "select " + "(" * 300 + "1" + ")" * 300,
        "select " + ",".join(["1"] * 500),
        " union all ".join(["select 1"] * 300),
        "select 1" + " " * 30_000,
        "select * from json_each('[1,2]')",
        "select * from generate_series(1,1000000000)",
    ],
    "no SELECT at all": [
        "",
        "   ",
        "garbage",
        "values (1)",
        "select",
        "selec 1",
        "select 1 from",
        "select '",
        "select \0 1",
        "select * from nowhere",
        "select nothing from files_individualfile",
        "select 1 as x where x = ?",
        ";;;",
    ],
}
ALL_ATTACKS = [(group, sql) for group, some in ATTACKS.items() for sql in some]


def test_attacks_are_refused_and_leave_nothing_behind(
    observer: User, record_property: Callable[[str, object], None]
) -> None:
    def state() -> tuple[Any, ...]:
        frames = db.session.scalar(select(func.count(Frame.id)).where(Frame.is_valid.is_(True)))
        kept = sorted(path.name for path in paths.current().tmp_results.iterdir())
        return frames, kept, Path("/tmp/coelostat-evil.db").exists()  # noqa: S108 - its absence

    before = state()

    answered = []
    outcomes: Counter[str] = Counter()
    for group, sql in ALL_ATTACKS:
        try:
            queries.run(observer, sql)
            answered.append(sql)
        except InvalidRequestError as error:
            assert str(error).strip(". "), sql
            outcomes[group] += 1

    told = {f"refused: {group}": n for group, n in outcomes.items()}
    told |= {"attacks": len(ALL_ATTACKS), "answered": len(answered)}
    record_property("counted: SELECT", told)
    assert answered == []
    assert state() == before


def test_members_only_site_gives_no_way_round_its_views(observer: User, staff: User) -> None:
    settings.change("access", "visibility", "members", by=staff)
    round_about = (
        "with files_individualfile as (select id from users) select * from files_individualfile",
        "with files_individualfile as (select path from frames) select * from files_individualfile",
        "select count(*) from proposals",
        "select count(*) from proposal_members",
        "select count(*) from users",
        "select count(*) from proposal_groups",
        "select count(*) from group_members",
        "select pi_id from proposals",
        "with files_sciblock as (select pi_id from proposals) select * from files_sciblock",
        "with process_operations as (select owner_id from jobs) select * from process_operations",
        "select file_path from files_individualfile, proposals",
        "select id from files_individualfile where (select 1 from proposals where code like 'a%')",
        "select * from scanned_files",
    )

    for sql in round_about:
        with pytest.raises(InvalidRequestError, match="closed here"):
            queries.run(observer, sql)
    assert answer(observer, "select count(*) from files_individualfile") == ["2"]


def test_views_read_nothing_of_accounts(observer: User, staff: User) -> None:
    settings.change("access", "visibility", "members", by=staff)

    readable = select_views.readable_columns(select_views.views_for(observer))

    closed = {
        "users",
        "tokens",
        "browser_sessions",
        "invitations",
        "settings",
        "audit_log",
        "events",
    }
    assert set(readable) & closed == set()
    assert "header_text" not in readable["frames"]


def test_no_more_queries_run_at_once_than_there_are_places(
    observer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select_process, "PATIENCE_S", 0.1)

    with (
        select_sqlite.turn(),
        select_sqlite.turn(),
        pytest.raises(ConflictError, match="try again"),
    ):
        queries.run(observer, "select 1")

    assert answer(observer, "select 1") == ["1"]


def test_path_with_odd_characters_is_opened(observer: User, tmp_path: Path) -> None:
    odd = tmp_path / "a?b#c%41.sqlite"
    sqlite3.connect(odd).close()

    connection = connect(str(odd), {}, {})

    assert connection.execute("PRAGMA database_list").fetchone()[2] == str(odd)
    connection.close()
