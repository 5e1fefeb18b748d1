"""Commands for the server's keeper: ``flask scan``, ``simulate``, ``user``, ``token``."""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Final

import click
from flask import Flask
from flask.cli import AppGroup

from app import config
from app.errors import AppError, NotFoundError
from app.models import FileState, Token, User
from app.refcat_commands import refcat
from app.services import accounts, ingest, invitations, people, settings
from app.source_commands import sources
from app.task_commands import preset, task
from app.wording import counted

users = AppGroup("user", help="Accounts.")
tokens = AppGroup("token", help="Keys for scripts.")
_SCHEMA: Final = "db"
_OF_PAGES: Final = frozenset({"run", "shell", "routes", "spec"})  # Flask's own, about pages
_TOLD: Final = frozenset({FileState.QUARANTINED, FileState.DUPLICATE, FileState.MISSING})


class Commands(AppGroup):
    """The commands of an application."""

    def __init__(self, app: Flask) -> None:
        super().__init__(app.name)
        self._app = app

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all, also of those that are not there yet."""
        return sorted({*super().list_commands(ctx), _SCHEMA})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a name."""
        if cmd_name == _SCHEMA:
            # Imported here: every other start of the program does without Alembic.
            from app import schema

            schema.init_app(self._app)  # which adds it
        return super().get_command(ctx, cmd_name)


def register(app: Flask) -> None:
    """Give the application its command line."""
    app.cli = Commands(app)
    for command in (scan, simulate, users, tokens, preset, task, refcat, sources):
        app.cli.add_command(command)


def is_served() -> bool:
    """Tell whether the application that is being made is for more than a command of ours."""
    is_command = os.environ.get("FLASK_RUN_FROM_CLI") == "true"  # as Flask's command line says
    return not is_command or not _OF_PAGES.isdisjoint(sys.argv)


@contextmanager
def _refusals() -> Iterator[None]:
    """Say in a line what was refused, instead of with a traceback."""
    try:
        yield
    except AppError as error:
        raise click.ClickException(str(error)) from error


@click.command()
@click.argument("path", default="")
@click.option("--contains", default="", help="Only files with one of these in their name: a,b.")
@click.option("--again", is_flag=True, help="Read unchanged files too, as after a new profile.")
def scan(path: str, contains: str, *, again: bool) -> None:
    """Take what is new in RAW, or in its folder PATH. Works while the program is stopped."""
    with _refusals():
        report = ingest.scan(path, contains=contains, again=again)
    for change in report.changes:
        if change.state in _TOLD:
            click.echo(f"{change.path}: {change.state}: {change.reason}")
    click.echo(report.message)


@click.command()
@click.option("--seed", type=int, help="Another seed makes another night.")
@click.option("--night", type=click.DateTime(["%Y-%m-%d"]), help="The evening's date.")
@click.option("--small", is_flag=True, help="A few small frames, for a quick look.")
def simulate(seed: int | None, night: datetime | None, *, small: bool) -> None:
    """Write a simulated night into RAW; its truth is kept in the instance folder."""
    # Imported here: every other start of the program does without the simulator.
    from app.services import simulation
    from reduction.simulate import NightParams

    params = NightParams.small() if small else NightParams()
    if seed is not None:
        params = replace(params, seed=seed)
    if night is not None:
        params = replace(params, night=night.date())
    with _refusals():
        truth = simulation.simulate(params)
    made = counted(len(truth.frames), "file")
    click.echo(
        f"{made} in {truth.raw_folder}; their truth in {truth.folder}\n"
        "Next, for astrometry and zero points, load the stars of its sky (in place of those of an "
        "earlier one):\n"
        f"  flask --app app refcat load {shlex.quote(str(truth.refcat))} "
        "--name demo --preset simulated"
    )


def _ask_password() -> str:
    """Ask for a password twice at a terminal; read a line of what else stands at the input."""
    if sys.stdin.isatty():
        asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return asked
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise click.ClickException("no password: give one as a line of input, or with --password")
    return password


_password_option: Final = click.option(
    "--password", default=_ask_password, help="Asked for, or a line of input, where not given."
)


def _one_name(_context: click.Context, _parameter: click.Parameter, words: tuple[str, ...]) -> str:
    """Refuse a name of several words in a sentence: the second may be meant as a password."""
    name = words[0].strip() if words else ""
    if len(words) > 1:
        raise click.ClickException(
            f"a user name is one word: {' '.join(words)!r} are {len(words)}; "
            "a password is asked for, or given with --password"
        )
    if not name:
        raise click.ClickException("a user name is needed, and it must not be blank")
    return name


@users.command("create")
@click.argument("username", nargs=-1, callback=_one_name, is_eager=True)
@_password_option
@click.option("--email", default="")
@click.option("--staff", is_flag=True, help="May see and change everything of the observatory.")
@click.option("--superuser", is_flag=True, help="May do anything.")
def create_user(username: str, password: str, email: str, *, staff: bool, superuser: bool) -> None:
    """Make an account for USERNAME."""
    with _refusals():
        user = accounts.create_user(
            username, password=password, email=email, is_staff=staff, is_superuser=superuser
        )
    click.echo(f"{user.username} ({accounts.role_of(user)}) can sign in now")


@users.command("list")
def list_users() -> None:
    """Show every account."""
    for user in accounts.people():
        seen = _minute(user.last_login) if user.last_login else "never"
        state = "" if user.is_active else ", deactivated"
        role = accounts.role_of(user)
        click.echo(f"{user.username}: {role}{state}, last signed in {seen}")


@users.command("password")
@click.argument("username", nargs=-1, callback=_one_name, is_eager=True)
@_password_option
def set_password(username: str, password: str) -> None:
    """Give USERNAME a new password; their sessions end."""
    with _refusals():
        accounts.set_password(accounts.find_user(username), password)
    click.echo(f"{username} has a new password")


@users.command("invite")
@click.argument("name_or_email")
def invite_user(name_or_email: str) -> None:
    """Make a link by which somebody sets a password, once; an unknown e-mail makes an account."""
    with _refusals():
        user = _invited(name_or_email)
        key = invitations.invite(user, by=None)
    click.echo(f"{user.username} sets a password at {_site_address()}/welcome/{key}/")


def _invited(name_or_email: str) -> User:
    try:
        return people.find_person(name_or_email)
    except NotFoundError:
        if "@" not in name_or_email:
            raise
    return accounts.person_of_email(name_or_email, by=None)[0]


def _site_address() -> str:
    """Return where people reach this server, as far as it knows."""
    if address := settings.snapshot().text("site.url").rstrip("/"):
        return address
    port = config.current().bind.rpartition(":")[2]
    return f"http://<this server>:{port}"


@users.command("role")
@click.argument("username")
@click.argument("role", type=click.Choice(tuple(people.ROLES)))
def set_role(username: str, role: str) -> None:
    """Make USERNAME an observer, staff or a superuser."""
    with _refusals():
        user = accounts.find_user(username)
        people.set_role(user, role, by=None)
    click.echo(f"{user.username} is {accounts.role_of(user)} now")


@tokens.command("create")
@click.argument("username")
@click.option("--name", default="", help="What the key is for.")
@click.option("--days", type=int, help="How long it lives, instead of access.token_days.")
def create_token(username: str, name: str, days: int | None) -> None:
    """Make a key for USERNAME and print it; it cannot be shown again."""
    with _refusals():
        click.echo(accounts.issue_token(accounts.find_user(username), name=name, days=days))


@tokens.command("list")
@click.argument("username", default="")
def list_tokens(username: str) -> None:
    """Show the live keys of USERNAME, or of everybody; never the keys themselves."""
    with _refusals():
        whose = [accounts.find_user(username)] if username else accounts.people()
    for user in whose:
        for token in accounts.tokens_of(user):
            click.echo(f"{token.id}: {user.username}, {_told(token)}")


def _told(token: Token) -> str:
    used = f"last used {_minute(token.last_used_at)}" if token.last_used_at else "never used"
    ends = f"expires {_minute(token.expires_at)}" if token.expires_at else "until revoked"
    name = f", {token.name!r}" if token.name else ""
    return f"{token.prefix}…{name}, made {_minute(token.created_at)}, {used}, {ends}"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


@tokens.command("revoke")
@click.argument("number", type=int)
def revoke_token(number: int) -> None:
    """End the key with a NUMBER, which `flask token list` tells."""
    with _refusals():
        user = accounts.owner_of_token(number)
        token = accounts.revoke_token_of(user, number, by=None)
    click.echo(f"{token.prefix}… of {user.username} is revoked")
