from app.models import User
from app.services import groups
from tests.app.pages.conftest import Browser
from tests.factories import make_user


def test_group_is_made_and_shown(staff_browser: Browser, staff: User) -> None:
    response = staff_browser.post("/people/groups/", name="class of 2026", description="second")

    (group,) = groups.find(staff)
    assert response.headers["Location"] == f"/people/groups/{group.id}/"
    for address in ("/people/groups/", f"/people/groups/{group.id}/"):
        page = staff_browser.text(address)
        assert "class of 2026" in page
        assert "second" in page


def test_form_says_what_is_wrong_and_keeps_what_was_typed(
    staff_browser: Browser, staff: User
) -> None:
    group = groups.create("class", by=staff)
    groups.create("team", by=staff)

    made = staff_browser.post("/people/groups/", name="class", description="typed")
    edited = staff_browser.post(f"/people/groups/{group.id}/", name="team", description="typed")

    for answer in (made, edited):
        assert answer.status_code == 400
        assert "There is a group of this name already" in answer.text
        assert 'value="typed"' in answer.text
    assert group.name == "class"


def test_people_are_added_by_name_or_address_and_taken_out(
    staff_browser: Browser, staff: User, observer: User
) -> None:
    ada = make_user("ada", email="ada@example.org")
    group = groups.create("class", by=staff)
    address = f"/people/groups/{group.id}/members/"

    staff_browser.post(address, person="observer, ADA@example.org")
    both = set(group.members)
    staff_browser.post(address, person="observer", action="remove")

    assert both == {observer, ada}
    assert group.members == [ada]


def test_unknown_person_changes_nothing(staff_browser: Browser, staff: User) -> None:
    group = groups.create("class", by=staff)

    for sent in ("", "nobody", "staff nobody", "a\0"):
        response = staff_browser.post(f"/people/groups/{group.id}/members/", person=sent)
        assert response.status_code == 400
    assert group.members == []


def test_group_is_deleted_and_its_people_stay(
    staff_browser: Browser, staff: User, observer: User
) -> None:
    group = groups.create("class", by=staff)
    groups.add_member(group, observer, by=staff)

    response = staff_browser.post(f"/people/groups/{group.id}/delete/")

    assert response.status_code == 303
    assert groups.find(staff) == []
    assert "observer" in staff_browser.text("/people/")
    assert staff_browser.get(f"/people/groups/{group.id}/").status_code == 404


def test_observers_see_and_change_no_groups(browser: Browser, staff: User, observer: User) -> None:
    group = groups.create("class", by=staff)
    groups.add_member(group, observer, by=staff)
    address = f"/people/groups/{group.id}/"

    answers = [
        browser.get("/people/groups/"),
        browser.get(address),
        browser.post("/people/groups/", name="mine"),
        browser.post(address, name="mine"),
        browser.post(f"{address}members/", person="observer"),
        browser.post(f"{address}delete/"),
    ]

    assert {answer.status_code for answer in answers} == {403}
    assert group.name == "class"
