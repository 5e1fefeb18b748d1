"""The button that deletes a processed frame."""

from app import paths
from app.models import User
from tests.app.api.goodman.test_changes import is_there, reduced
from tests.app.pages.conftest import Browser
from tests.factories import make_frame


def test_frame_is_deleted_from_its_page_which_leads_back_to_the_raw_one(
    staff_browser: Browser,
) -> None:
    raw, product, _ = reduced()
    name, path, place = product.file_name, product.path, f"/frames/{product.id}/delete/"
    assert place in staff_browser.text(f"/frames/{product.id}/")

    response = staff_browser.post(place)

    assert (response.status_code, response.location) == (303, f"/frames/{raw.id}/")
    assert f"{name} is deleted" in staff_browser.text(f"/frames/{raw.id}/")
    assert not is_there(int(place.split("/")[2]))
    assert not (paths.current().data / path).exists()


def test_button_is_only_there_for_who_may_delete(
    browser: Browser, staff_browser: Browser, observer: User
) -> None:
    raw, others, _ = reduced()
    _, mine, _ = reduced(owner_id=observer.id)
    master = make_frame("bias", level=1, path="MASTERS/b.fits")

    seen = {
        frame.id: f"/frames/{frame.id}/delete/" in browser.text(f"/frames/{frame.id}/")
        for frame in (raw, others, mine, master)
    }

    assert seen == {raw.id: False, others.id: False, mine.id: True, master.id: False}
    assert f"/frames/{master.id}/delete/" in staff_browser.text(f"/frames/{master.id}/")


def test_who_may_not_is_told_so_and_nothing_is_gone(browser: Browser) -> None:
    _, product, _ = reduced()

    response = browser.post(f"/frames/{product.id}/delete/")

    assert response.status_code == 403
    assert is_there(product.id)
