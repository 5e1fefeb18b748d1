import os

import pytest

from app.errors import InvalidRequestError, NotFoundError
from app.models import User
from app.services import task_files, task_pictures, task_thumbnails
from reduction import fitsio
from tests.app.pages.taskrows import make_task, put
from tests.app.services.rawfiles import fits_bytes


def test_picture_is_made_once_and_anew_for_another_image(observer: User) -> None:
    task = make_task(observer)
    first = task_thumbnails.thumbnail(task)
    again = task_thumbnails.thumbnail(task)
    put(task, "image.fits", fits_bytes(OBJECT="another"))
    os.utime(task_files.folder(task) / "image.fits", ns=(1, 2))

    other = task_thumbnails.thumbnail(task)

    assert first.read_bytes().startswith(b"\x89PNG")
    assert (again, other == first) == (first, False)


def test_image_too_large_to_be_unpacked_has_no_picture(
    observer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_pictures, "LIMITS", fitsio.Limits(max_pixels=10))

    with pytest.raises(InvalidRequestError, match="cannot be shown"):
        task_thumbnails.thumbnail(make_task(observer))


def test_those_looked_at_longest_ago_go(observer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_thumbnails, "MOST", 1)
    old = task_thumbnails.thumbnail(make_task(observer))
    os.utime(old, (1, 1))

    new = task_thumbnails.thumbnail(make_task(observer))

    assert (old.exists(), new.exists()) == (False, True)


def test_image_that_is_none_or_not_there_has_no_picture(observer: User) -> None:
    broken = make_task(observer)
    put(broken, "image.fits", b"no image")

    with pytest.raises(InvalidRequestError, match="cannot be shown"):
        task_thumbnails.thumbnail(broken)
    with pytest.raises(NotFoundError):
        task_thumbnails.thumbnail(make_task(observer, image=False))
