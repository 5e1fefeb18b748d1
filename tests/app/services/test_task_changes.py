import numpy as np
import pytest
from astropy.io import fits
from flask import Flask

from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.models import Task, User
from app.services import task_changes, task_files
from reduction import fitsio
from reduction.cards import ProductCard
from reduction.imagewrite import write_image
from tests.app.pages.taskrows import make_task, put_to_work

SHAPE = (40, 60)


@pytest.fixture
def task(app: Flask, observer: User) -> Task:
    made = make_task(observer, image=False)
    data = np.arange(SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(SHAPE)
    cards: list[ProductCard] = [
        ("CTYPE1", "RA---TAN", ""),
        ("CTYPE2", "DEC--TAN", ""),
        ("CRPIX1", 30.0, ""),
        ("CRPIX2", 20.0, ""),
        ("CD1_1", -0.001, ""),
        ("CD2_2", 0.001, ""),
    ]
    for name in (task_files.IMAGE, task_changes.MASK):
        write_image(task_files.folder(made) / name, data, cards)
    return made


def image(task: Task, name: str = task_files.IMAGE) -> fitsio.PlainImage:
    return fitsio.read_image(task_files.folder(task) / name)


def cards(task: Task) -> dict[str, object]:
    return {keyword: value for keyword, value, _ in image(task).cards}


def test_cropped_image_keeps_its_place_on_the_sky(task: Task, observer: User) -> None:
    task_changes.crop(task, (10, 5, -10, None), by=observer)

    cut = image(task)
    assert cut.data.shape == (35, 40)
    assert cut.data[0, 0] == 5 * SHAPE[1] + 10
    assert (cards(task)["CRPIX1"], cards(task)["CRPIX2"]) == (20.0, 15.0)
    assert np.array_equal(image(task, task_changes.MASK).data, cut.data)


def test_crop_that_leaves_nothing_is_refused_and_changes_nothing(
    task: Task, observer: User
) -> None:
    with pytest.raises(InvalidRequestError, match="columns would be left"):
        task_changes.crop(task, (30, None, 32, None), by=observer)

    assert image(task).data.shape == SHAPE
    assert not task_changes.has_original(task)


def test_stripes_go_and_the_image_as_it_came_is_kept_and_put_back(
    task: Task, observer: User
) -> None:
    before = image(task).data

    task_changes.destripe(task, "horizontal", by=observer)
    task_changes.destripe(task, "vertical", by=observer)
    flat = image(task).data
    assert task_changes.has_original(task)
    task_changes.reset(task, by=observer)

    assert np.ptp(flat) == 0
    assert np.array_equal(image(task).data, before)
    with pytest.raises(NotFoundError):
        task_changes.reset(task, by=observer)


def test_header_is_mended(task: Task, observer: User) -> None:
    path = task_files.folder(task) / task_files.IMAGE
    write_image(path, image(task).data, [("CTYPE1", "LINEAR", ""), ("OBJECT", "M 31", "")])

    task_changes.fix(task, by=observer)

    assert cards(task) == {"OBJECT": "M 31"}


def test_unknown_direction_is_refused(task: Task, observer: User) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        task_changes.destripe(task, "diagonal", by=observer)

    assert refused.value.fields == {"direction": '"diagonal" is not a valid choice.'}


def test_task_without_an_image_has_nothing_to_mend(app: Flask, observer: User) -> None:
    bare = make_task(observer, image=False)

    with pytest.raises(NotFoundError, match="Image file not found"):
        task_changes.fix(bare, by=observer)
    with pytest.raises(NotFoundError, match="Image file not found"):
        task_changes.crop(bare, (1, None, None, None), by=observer)


def test_image_that_is_being_processed_is_left_alone(task: Task, observer: User) -> None:
    put_to_work(task, observer)

    with pytest.raises(ConflictError, match="Task is already being processed"):
        task_changes.fix(task, by=observer)


def test_planes_beside_the_image_stay_with_it(task: Task, observer: User) -> None:
    path = task_files.folder(task) / task_files.IMAGE
    plane = np.ones(SHAPE, np.float32)
    planes = [fits.ImageHDU(plane, name=name) for name in ("SCI", "VAR")]
    fits.HDUList([fits.PrimaryHDU(), *planes]).writeto(path, overwrite=True)

    task_changes.fix(task, by=observer)
    task_changes.destripe(task, "both", by=observer)
    task_changes.crop(task, (10, 5, -10, None), by=observer)

    with fits.open(path) as hdus:
        found = [(hdu.name, hdu.shape) for hdu in hdus[1:]]
    assert found == [("SCI", (35, 40)), ("VAR", (35, 40))]


def test_image_that_cannot_be_mended_is_named_and_left(task: Task, observer: User) -> None:
    path = task_files.folder(task) / task_files.IMAGE
    fits.PrimaryHDU(np.ones((3, *SHAPE), np.float32)).writeto(path, overwrite=True)

    with pytest.raises(InvalidRequestError, match=r"image\.fits: its image is a cube of 3 planes"):
        task_changes.destripe(task, "both", by=observer)

    assert fits.getdata(path).shape == (3, *SHAPE)
