"""``flask sources``: the tables of sources beside reduced frames."""

import click
from flask.cli import AppGroup

from app.wording import counted

sources = AppGroup("sources", help="Sources of reduced frames.")


@sources.command("index")
@click.option("--again", is_flag=True, help="Also frames whose sources are kept already.")
def index(*, again: bool) -> None:
    """Find the sources of frames that were reduced before sources were kept.

    Works while the program runs; what is broken off goes on where it was.
    """
    # Imported here: every other start of the program does without the readers of pixels.
    from app.jobs import source_index

    waiting = source_index.waiting(again=again)
    kept = 0
    for number, one in enumerate(source_index.index(waiting), start=1):
        what = one.refusal or counted(one.n_sources or 0, "source")
        kept += not one.refusal
        click.echo(f"{number} of {len(waiting)}: {one.file_name}: {what}")
    click.echo(f"the sources of {counted(kept, 'frame')} were kept")
    if kept < len(waiting):
        raise click.ClickException(f"{counted(len(waiting) - kept, 'frame')} could not be read")
