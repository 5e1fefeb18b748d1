"""Numbered pages of rows, and the links from one to the next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import request
from sqlalchemy import Select

from app.services import numbered
from app.services.numbered import Key


@dataclass(frozen=True, slots=True)
class Page:
    """One page of rows and where it stands."""

    rows: Sequence[Any]
    number: int
    size: int
    total: int

    @property
    def n_pages(self) -> int:
        """How many pages there are; an empty list has one."""
        return max(1, -(-self.total // self.size))

    def link(self, number: int) -> str | None:
        """Return the address of another page of the same list, None where there is none.

        It repeats the filters and the prefix the request came under.
        """
        if not 1 <= number <= self.n_pages or number == self.number:
            return None
        arguments = [(k, v) for k, v in request.args.items(multi=True) if k != "page"]
        query = urlencode([*arguments, ("page", str(number))])
        return f"{request.base_url}?{query}"

    @property
    def next_link(self) -> str | None:
        """The following page, if there is one."""
        return self.link(self.number + 1)

    @property
    def previous_link(self) -> str | None:
        """The page before, if there is one."""
        return self.link(self.number - 1)


def page_of(
    rows: Select[Any], *, key: Key, number: int, size: int, newest_first: bool = True
) -> Page:
    """Return page `number` (from 1) of `rows`; a number past the last page gives the last one."""
    found = numbered.rows_of(rows, key=key, number=number, size=size, newest_first=newest_first)
    return Page(found.rows, found.number, size, found.total)
