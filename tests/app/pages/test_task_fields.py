import pytest

from app.errors import InvalidRequestError
from app.models import TaskStep
from app.pages.task_fields import GROUPS, Kind, configured, fields_of
from reduction.oneimage import options

STEPS = tuple(GROUPS)
READERS = {
    TaskStep.INSPECT: options.inspect_options,
    TaskStep.PHOTOMETRY: options.photometry_options,
}


@pytest.mark.parametrize("step", STEPS)
def test_no_field_stands_twice_in_a_form(step: TaskStep) -> None:
    names = [field.name for field in fields_of(step)]

    assert len(names) == len(set(names))


def test_empty_fields_are_what_they_show_and_ticks_are_as_they_stand() -> None:
    shown = {f.name: f.default for f in fields_of(TaskStep.PHOTOMETRY) if f.default is not None}
    ticked = {name: "true" for name, default in shown.items() if default is True}

    assert configured({}, TaskStep.PHOTOMETRY, ticked) == shown


def test_defaults_shown_are_those_of_an_inspected_image() -> None:
    shown = {f.name: f.default for step in STEPS for f in fields_of(step)}

    wrong = {k: v for k, v in options.AFTER_INSPECT.items() if k in shown and shown[k] != v}
    assert wrong == {}


def test_values_are_read_as_their_kind_and_others_are_kept() -> None:
    sent = {
        "sn": "3.5",
        "spatial_order": "1",
        "filter": "r",
        "use_color": "true",
        "sr_override": " 2 ",
    }

    found = configured({"targets": [1], "fwhm_override": 4.0}, TaskStep.PHOTOMETRY, sent)

    assert (found["sn"], found["spatial_order"], found["filter"]) == (3.5, 1, "r")
    assert (found["use_color"], found["refine_wcs"]) == (True, False)
    assert (found["sr_override"], found["targets"]) == (2.0, [1])
    assert "fwhm_override" not in found


def test_targets_and_files_are_lines_without_blanks() -> None:
    inspected = configured({}, TaskStep.INSPECT, {"target": " M 51 \r\n\r\n12 34 56 -12 3 4"})
    stacked = configured({}, TaskStep.STACK, {"stack_filenames": "RAW/a.fits\r\n RAW/b.fits"})

    assert inspected["target"] == "M 51\n12 34 56 -12 3 4"
    assert stacked["stack_filenames"] == ["RAW/a.fits", "RAW/b.fits"]


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        configured({}, TaskStep.PHOTOMETRY, {"sn": "many", "spatial_order": "1.5", "rel_bg1": "5"})

    assert set(refusal.value.fields) == {"sn", "spatial_order"}


@pytest.mark.parametrize(
    ("name", "text"), [("sn", "-1"), ("rel_bg2", "4"), ("minarea", "0"), ("spatial_order", "99")]
)
def test_value_no_step_could_use_is_refused_before_it_runs(name: str, text: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        configured({}, TaskStep.PHOTOMETRY, {name: text})

    assert set(refusal.value.fields) == {name}


@pytest.mark.parametrize("text", ["x" * 5000, "a\0b", "\ud800"])
def test_text_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        configured({}, TaskStep.INSPECT, {"target": text})


def test_every_number_is_read_by_a_step() -> None:
    fields = {f.name: f for step in READERS for f in fields_of(step)}
    numbers = [f.name for f in fields.values() if f.kind in {Kind.NUMBER, Kind.WHOLE}]

    def is_read(name: str) -> bool:
        for read in READERS.values():
            try:
                read({name: "no number"})
            except options.BadOptionError as error:
                return error.name == name
        return False

    assert len(numbers) > 20
    assert [name for name in numbers if not is_read(name)] == []


def test_place_that_is_corrected_is_searched_for() -> None:
    known = {"blind_match_center": "10 20"}

    corrected = configured(known, TaskStep.INSPECT, {"blind_match_center": "11 20"})
    scaled = configured(known, TaskStep.INSPECT, known | {"blind_match_ps_lo": "1"})
    as_it_was = configured(known, TaskStep.INSPECT, known)

    found = [one["blind_match_wcs"] for one in (corrected, scaled, as_it_was)]
    assert found == [True, True, False]


def test_targets_that_are_written_anew_are_looked_up_anew() -> None:
    known = {"target": "M 51", "targets": [{"name": "M 51"}], "target_ra": 1.0, "target_dec": 2.0}

    same = configured(known, TaskStep.INSPECT, {"target": "M 51"})
    other = configured(known, TaskStep.INSPECT, {"target": "M 52"})

    assert same["targets"] == [{"name": "M 51"}]
    assert not {"targets", "target_ra", "target_dec"} & other.keys()
