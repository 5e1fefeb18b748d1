"""Numbered pages: complete, in order, each row once."""

import pytest
from flask import Flask
from sqlalchemy import select

from app.api.paging import Page, page_of
from app.models import Frame
from tests.factories import make_frame


@pytest.mark.parametrize("newest_first", [True, False])
def test_pages_together_are_the_whole_list(app: Flask, newest_first: bool) -> None:
    ids = [make_frame("bias").id for _ in range(11)]

    pages = [
        page_of(select(Frame), key=Frame.id, number=n, size=3, newest_first=newest_first)
        for n in (1, 2, 3, 4)
    ]

    assert [frame.id for page in pages for frame in page.rows] == sorted(ids, reverse=newest_first)
    assert {(page.total, page.n_pages) for page in pages} == {(11, 4)}


def test_number_outside_is_the_nearest_page(app: Flask) -> None:
    make_frame("bias")

    for number in (-5, 0, 99):
        assert page_of(select(Frame), key=Frame.id, number=number, size=20).number == 1


def test_empty_list_has_one_page(app: Flask) -> None:
    page = page_of(select(Frame), key=Frame.id, number=1, size=20)

    assert (list(page.rows), page.total, page.n_pages) == ([], 0, 1)


def test_links_keep_the_filters_and_the_prefix(app: Flask) -> None:
    with app.test_request_context("/gsp/api/files/?obstype=OBJECT&page=2&q=a%26b"):
        page = Page((), 2, 10, 25)
        first_and_last = Page((), 1, 10, 5)

        assert page.next_link == "http://localhost/gsp/api/files/?obstype=OBJECT&q=a%26b&page=3"
        assert page.previous_link == "http://localhost/gsp/api/files/?obstype=OBJECT&q=a%26b&page=1"
        assert (first_and_last.next_link, first_and_last.previous_link) == (None, None)
