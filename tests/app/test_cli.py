import shlex
from datetime import date
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import select

from app import paths
from app.db import db
from app.models import Proposal, User
from app.services import accounts, audit, invitations
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


def test_simulation_ends_with_the_command_that_loads_its_stars(app: Flask, raw: Path) -> None:
    last = run(app, "simulate", "--small").output.splitlines()[-1]
    program, *words = shlex.split(last)

    assert (program, words[:2]) == ("flask", ["--app", "app"])
    loaded = run(app, *words[2:])
    assert loaded.exit_code == 0, loaded.output
    assert "demo" in run(app, "refcat", "list").output


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


def test_invitation_is_a_link_by_which_somebody_sets_a_password(app: Flask) -> None:
    make_user("ada", email="ada@example.org")

    by_name = run(app, "user", "invite", "ada").output
    by_email = run(app, "user", "invite", "ADA@example.org").output

    assert by_name.startswith("ada sets a password at http://<this server>:8000/welcome/")
    key = by_email.strip().removesuffix("/").rpartition("/")[2]
    assert invitations.accept(key, "chosen-by-me-1").username == "ada"


def test_invitation_of_an_unknown_address_makes_an_account(app: Flask) -> None:
    result = run(app, "user", "invite", "vera@example.org")

    user = accounts.find_user("vera")
    assert result.output.startswith("vera sets a password at ")
    assert (user.email, user.password_hash, user.is_active) == ("vera@example.org", None, True)


@pytest.mark.parametrize("name", ["nobody", "", "@", "a@b@c"])
def test_invitation_of_nobody_is_refused_in_a_line(app: Flask, name: str) -> None:
    result = run(app, "user", "invite", name)

    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert len(result.output.splitlines()) == 1


def test_role_is_given_but_not_taken_from_the_last_superuser(app: Flask) -> None:
    make_user("ada")
    make_user("boss", is_superuser=True, is_staff=True)

    given = run(app, "user", "role", "ada", "staff")
    taken = run(app, "user", "role", "boss", "observer")
    unknown = run(app, "user", "role", "ada", "emperor")

    assert (given.exit_code, given.output) == (0, "ada is staff now\n")
    assert (taken.exit_code, unknown.exit_code) == (1, 2)
    assert taken.output.startswith("Error: boss is the last superuser who can sign in")
    assert accounts.role_of(accounts.find_user("boss")) == "superuser"


def test_tokens_are_listed_without_their_keys_and_revoked_by_number(app: Flask) -> None:
    ada, ben = make_user("ada"), make_user("ben")
    key, other = accounts.issue_token(ada, name="cron", days=3), accounts.issue_token(ben)

    listed = run(app, "token", "list").output
    hers = run(app, "token", "list", "ada").output
    number = hers.partition(":")[0]
    revoked = run(app, "token", "revoke", number)
    again = run(app, "token", "revoke", number)

    assert (key in listed, other in listed, len(listed.splitlines())) == (False, False, 2)
    assert f"{number}: ada, {key[:8]}…, 'cron', made " in hers
    assert "never used, expires " in hers
    assert revoked.output == f"{key[:8]}… of ada is revoked\n"
    assert (accounts.user_of_token(key), accounts.user_of_token(other)) == (None, ben)
    assert (again.exit_code, again.output) == (1, "Error: There is no such token.\n")


def test_token_of_the_command_line_lives_as_long_as_asked(app: Flask) -> None:
    ada = make_user("ada")

    run(app, "token", "create", "ada", "--days", "3")
    wrong = run(app, "token", "create", "ada", "--days", "0")

    (token,) = accounts.tokens_of(ada)
    assert token.expires_at is not None
    assert wrong.output == "Error: days: Here a token lives from 1 to 36500 days.\n"


def test_what_the_command_line_does_to_accounts_is_in_the_audit_log(app: Flask) -> None:
    run(app, "user", "create", "ada", "--password", "night-sky-7")
    run(app, "user", "role", "ada", "staff")
    run(app, "user", "password", "ada", "--password", "night-sky-8")
    run(app, "user", "invite", "ada")

    acts = [(act.who, act.text) for act in audit.of(accounts.find_user("ada"))]
    assert acts == [
        ("the program", "invited: by a link good for 7 days"),
        ("the program", "password changed"),
        ("the program", "role changed: observer is now staff"),
        ("the program", "account made: as observer"),
    ]


def test_commands_of_migrations_are_there_when_they_are_asked_for(app: Flask) -> None:
    assert "  db  " in run(app, "--help").output
    assert "  upgrade  " in run(app, "db", "--help").output
