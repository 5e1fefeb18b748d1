"""What an observer may choose from depends on what is here, and on whether the site asks VizieR."""

from pathlib import Path

import pytest
from flask import Flask

from app.models import User
from app.services import catalogue_choice, refcats, settings
from reduction.refcat.known import KNOWN


@pytest.mark.parametrize("is_asked", [False, True])
def test_catalogues_that_are_not_here_are_to_be_had_where_the_site_asks_for_them(
    app: Flask, staff: User, is_asked: bool
) -> None:
    settings.change("catalogues", "online", is_asked, by=staff)

    assert catalogue_choice.names() == (list(KNOWN) if is_asked else [])
    assert catalogue_choice.can_have("atlas") is is_asked


def test_name_of_no_catalogue_is_not_to_be_had(app: Flask, staff: User) -> None:
    settings.change("catalogues", "online", True, by=staff)

    assert not catalogue_choice.can_have("../mine")


def test_catalogue_of_the_site_is_chosen_by_its_own_name(app: Flask, tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("ra,dec,r\n150.01,20.01,15.0\n")

    refcats.load_files(refcats.Request("mine", [path], columns="ra=ra,dec=dec,r=r"))

    assert catalogue_choice.names() == ["mine"]
