import pytest

from app.errors import ConflictError, InvalidRequestError, NotAllowedError, NotFoundError
from app.models import User
from app.services import presets


def test_preset_is_made_and_given_other_values_under_its_name(staff: User, observer: User) -> None:
    made = presets.save("usual", {"sn": 5}, by=staff)
    again = presets.save(" usual ", {"sn": 3}, by=staff)

    assert again.id == made.id
    assert [(p.name, p.config) for p in presets.find(observer)] == [("usual", {"sn": 3})]
    assert presets.get(observer, made.id) is made


def test_names_differ_by_more_than_their_case(staff: User) -> None:
    presets.save("usual", {}, by=staff)
    other = presets.save("other", {}, by=staff)

    with pytest.raises(ConflictError):
        presets.save("Usual", {}, by=staff)
    with pytest.raises(ConflictError):
        presets.rename(other, "USUAL", by=staff)
    presets.rename(other, "Other", by=staff)

    assert other.name == "Other"


def test_preset_is_deleted(staff: User, observer: User) -> None:
    made = presets.save("usual", {}, by=None)
    number = made.id

    presets.delete(made, by=staff)

    with pytest.raises(NotFoundError):
        presets.get(observer, number)


def test_presets_are_kept_by_staff(staff: User, observer: User) -> None:
    made = presets.save("usual", {}, by=staff)

    for act in (
        lambda: presets.save("x", {}, by=observer),
        lambda: presets.rename(made, "x", by=observer),
        lambda: presets.delete(made, by=observer),
    ):
        with pytest.raises(NotAllowedError):
            act()


@pytest.mark.parametrize("name", ["", "  ", "x" * 251, "a\nb"])
def test_name_that_is_none_is_refused(staff: User, name: str) -> None:
    with pytest.raises(InvalidRequestError):
        presets.save(name, {}, by=staff)
