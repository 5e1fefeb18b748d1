from datetime import date
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import select

from app import paths
from app.db import db
from app.models import Proposal, User
from app.services import accounts
from app.services.simulation import truth_folder
from tests.app.services.rawfiles import all_frames, fits_bytes, scan, store
from tests.factories import make_user


def run(app: Flask, *words: str, text: str | None = None) -> Result:
    return app.test_cli_runner().invoke(args=list(words), input=text)


@pytest.fixture
def raw(app: Flask) -> Path:
    return paths.current().raw


def test_scan_takes_what_is_new_and_tells_what_is_bad(app: Flask, raw: Path) -> None:
    store(raw / "night" / "a.fits", fits_bytes())
    store(raw / "night" / "bad.fits", b"text" * 1000)

    result = run(app, "scan")

    assert result.exit_code == 0
    assert "night/bad.fits: quarantined: " in result.output
    assert "RAW: 1 registered, 1 quarantined; 2 new or changed" in result.output
    assert len(all_frames()) == 1


def test_scan_of_a_folder_and_of_some_names(app: Flask, raw: Path) -> None:
    store(raw / "n1" / "bias.fits", fits_bytes())
    store(raw / "n1" / "flat.fits", fits_bytes(OBJECT="f"))
    store(raw / "n2" / "bias.fits", fits_bytes(OBJECT="b"))

    result = run(app, "scan", "RAW/n1", "--contains", "bias")

    assert result.exit_code == 0
    assert [frame.path for frame in all_frames()] == ["RAW/n1/bias.fits"]


def test_scan_again_reads_unchanged_files(app: Flask, raw: Path) -> None:
    store(raw / "a.fits", fits_bytes())
    scan()

    assert "0 new or changed" in run(app, "scan").output
    assert "1 new or changed" in run(app, "scan", "--again").output


@pytest.mark.parametrize("folder", ["../..", "/etc", "nowhere"])
def test_scan_outside_raw_is_refused_in_a_line(app: Flask, folder: str) -> None:
    result = run(app, "scan", folder)

    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "Traceback" not in result.output


def test_scan_without_raw_fails_in_a_line(app: Flask, raw: Path) -> None:
    raw.rmdir()

    result = run(app, "scan")

    assert result.exit_code == 1
    assert "Is its disk mounted?" in result.output


def test_simulated_night_is_scanned_to_the_state_of_each_file(app: Flask, raw: Path) -> None:
    result = run(app, "simulate", "--small", "--seed", "7", "--night", "2024-03-05")

    assert result.exit_code == 0, result.output
    assert (truth_folder("2024-03-05") / "frames.csv").is_file()
    report = scan()
    assert report.counts["registered"] == len(all_frames()) > 20
    assert (report.counts["waiting"], report.counts["quarantined"]) == (1, 2)
    assert {frame.night for frame in all_frames()} == {date(2024, 3, 5)}
    assert db.session.get_one(Proposal, 1).title


def test_simulated_frames_belong_to_the_simulated_proposals(app: Flask, raw: Path) -> None:
    run(app, "simulate", "--small")

    scan()

    assert len(db.session.scalars(select(Proposal)).all()) == 2
    science = [frame for frame in all_frames() if frame.kind == "science"]
    assert {frame.proposal_id for frame in science} == {1}


def test_simulated_night_never_writes_over_a_night(app: Flask, raw: Path) -> None:
    store(raw / "2024-03-05" / "a.fits", fits_bytes())

    result = run(app, "simulate", "--small", "--night", "2024-03-05")

    assert result.exit_code == 1
    assert "choose another night" in result.output
    assert [path.name for path in (raw / "2024-03-05").iterdir()] == ["a.fits"]


def test_user_is_made_and_can_sign_in(app: Flask) -> None:
    result = run(app, "user", "create", "ada", "--staff", text="night-sky-7\nnight-sky-7\n")

    assert result.exit_code == 0, result.output
    user = accounts.authenticate("ada", "night-sky-7")
    assert (user.is_staff, user.is_superuser) == (True, False)
    assert "night-sky-7" not in result.output


def test_password_is_a_line_of_input_where_there_is_no_terminal(app: Flask) -> None:
    result = run(app, "user", "create", "ada", text="night-sky-7\r\n")

    assert (result.exit_code, result.output) == (0, "ada (observer) can sign in now\n")
    assert accounts.authenticate("ada", "night-sky-7").username == "ada"


@pytest.mark.parametrize(
    ("words", "text", "sentence"),
    [
        (["ada", "lovelace"], "night-sky-7\n", "a user name is one word: 'ada lovelace' are 2"),
        (["  "], "night-sky-7\n", "a user name is needed, and it must not be blank"),
        ([], "night-sky-7\n", "a user name is needed, and it must not be blank"),
        (["ada lovelace"], "night-sky-7\n", "Enter a valid username"),
        (["ada"], "", "no password: give one as a line of input, or with --password"),
    ],
)
def test_user_that_cannot_be_made_is_refused_in_a_line(
    app: Flask, words: list[str], text: str, sentence: str
) -> None:
    result = run(app, "user", "create", *words, text=text)

    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1
    assert result.output.startswith("Error: ")
    assert sentence in result.output
    assert db.session.scalars(select(User)).all() == []


def test_user_that_exists_is_refused_in_a_line(app: Flask) -> None:
    make_user("ada")

    result = run(app, "user", "create", "ada", "--password", "night-sky-7")

    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert len(db.session.scalars(select(User)).all()) == 1


def test_users_are_listed_with_what_they_may_do(app: Flask) -> None:
    make_user("ada", is_superuser=True, is_staff=True)
    make_user("ben", is_active=False)

    lines = run(app, "user", "list").output.splitlines()

    assert lines == [
        "ada: superuser, last signed in never",
        "ben: observer, deactivated, last signed in never",
    ]


def test_password_is_changed(app: Flask) -> None:
    make_user("ada", password="old-password-1")

    result = run(app, "user", "password", "ada", text="new-password-2\nnew-password-2\n")

    assert result.exit_code == 0, result.output
    assert accounts.authenticate("ada", "new-password-2").username == "ada"


def test_token_is_printed_alone_and_works(app: Flask) -> None:
    user = make_user("ada")

    result = run(app, "token", "create", "ada", "--name", "cron")

    found = accounts.user_of_token(result.output.strip())
    assert found is not None
    assert found.id == user.id


def test_token_for_nobody_is_refused_in_a_line(app: Flask) -> None:
    result = run(app, "token", "create", "nobody")

    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
