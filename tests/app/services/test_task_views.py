from app.models import User
from app.services import task_views
from tests.app.pages.taskrows import make_task
from tests.factories import make_frame


def test_page_ends_before_a_number(observer: User) -> None:
    ids = [make_task(observer, image=False).id for _ in range(4)]

    found = task_views.page(observer, query="", state="", is_own=True, before=ids[3], count=2)

    assert [task.id for task in found] == [ids[2], ids[1]]


def test_frame_a_task_was_made_of_is_found_where_it_may_be_seen(
    observer: User, staff: User
) -> None:
    frame = make_frame(path="RAW/a.fits")
    task = make_task(observer, source="RAW/a.fits", image=False)
    other = make_task(observer, source="RAW/none.fits", image=False)

    assert task_views.source_frame(observer, task) is frame
    assert task_views.source_frame(observer, other) is None
    assert task_views.source_frame(observer, make_task(observer, image=False)) is None
