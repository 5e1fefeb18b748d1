"""The S-PLUS MAR contract: every endpoint, verb and parameter; status, keys, types, messages."""

import csv
import json
from collections.abc import Callable, Collection
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app import paths
from app.db import db, transaction
from app.models import Block, Frame, FrameParent, Job, JobState, Level, Proposal, User
from app.services import settings
from tests.factories import make_block, make_camera, make_frame

TEXT = (str, NoneType)
NUMBER = (int, float, NoneType)
INTEGER = (int, NoneType)
STATE = {"comments": str, "status": int, "isvalid": int}
DATES = {"id": int, "blockStartDate": TEXT, "blockEndDate": TEXT}
STATISTICS = dict.fromkeys(("modeavg", "medianavg", "noiseavg", "medianrms", "noiserms"), NUMBER)
MASTER = dict.fromkeys(("masterPath", "masterThumb", "maskPath", "maskThumb"), TEXT) | STATISTICS

INDIVIDUAL_FILE = (
    STATE
    | STATISTICS
    | {"id": int, "file_type": str, "file_name": str, "file_path": str, "moonmean": NUMBER}
    | dict.fromkeys(("exptime", "crval1", "crval2"), NUMBER)
    | dict.fromkeys(("superflat_id", "raw_sci_id", "processed_id", "sci_id"), INTEGER)
    | dict.fromkeys(
        ("obsDate", "field", "band", "ovfile", "ovthumb", "thumb", "bpmask", "processedDate"), TEXT
    )
)
WHEN_PRESENT = {"superFlatId": int, "superFlatPath": TEXT, "superFlatThumb": TEXT, "sci": list}
SCI = {
    "id": int,
    "individual_catalog": TEXT,
    "masterFlatUsed_id": INTEGER,
    "masterBiasUsed_id": INTEGER,
    "sciraw_id": int,
    "masterBiasUsed": TEXT,
    "masterFlatUsed": TEXT,
    "sextractorOut": list,
    "scampOut": list,
    "swarpOut": list,
}
BLOCK = DATES | STATE
RECORDS: dict[str, dict[str, Any]] = {
    "individualfile": INDIVIDUAL_FILE,
    "biasblock": BLOCK | MASTER | {"bias": list},
    "darkblock": BLOCK | MASTER | {"dark": list},
    "flatbyfilter": BLOCK | MASTER | {"band": TEXT, "flats": list},
    "flatblock": BLOCK | {"flatsByFilter": list},
    "scibyfilter": BLOCK | {"band": TEXT, "scies": list, "processed": list, "finaltiles": list},
    "sciblock": BLOCK | {"sciByFilter": list},
    "superflat": BLOCK
    | {"band": TEXT, "superFlatPath": TEXT, "superFlatThumb": TEXT, "files": list},
}
ALIASES = {
    "individual": "individualfile",
    "individualfiles": "individualfile",
    "flatblockbyfilter": "flatbyfilter",
    "fieldimage": "fieldimages",
    "field": "fieldimages",
}
BLOCKS = ("biasblock", "darkblock", "flatbyfilter", "flatblock", "scibyfilter", "sciblock")
ENDPOINTS = (*RECORDS, "finaltiles", "fieldimages")
NIGHT = {"startDate": "2026-11-20", "endDate": "2026-11-20"}


class Night:
    """Rows of one night: raw frames, their masters and products, and a block of each kind."""

    def __init__(self) -> None:
        camera = make_camera()
        values: dict[str, Any] = {"camera": camera, "mode": 1000.0, "median": float("nan")}
        self.bias = [make_frame("bias", **values) for _ in range(3)]
        self.darks = [make_frame("dark", **values) for _ in range(3)]
        self.flats = [make_frame("flat", **values) for _ in range(3)]
        self.sci = [
            make_frame("science", object_name="STRIPE82 0001", ra_deg=1.5, dec_deg=0.1, **values)
            for _ in range(2)
        ]
        self.product = self.made("science", Level.REDUCED, "PROCESSED/r/2026-11-20/a.fits", "r")
        self.master = self.made("bias", Level.MASTER, "MASTERS/BIAS/b.fits", None)
        self.fringe = self.made("flat", Level.MASTER, "MASTERS/FRINGE/f.fits", "r")
        with transaction():
            for parent, role in ((self.sci[0], "raw"), (self.master, "bias")):
                db.session.add(
                    FrameParent(child_id=self.product.id, parent_id=parent.id, role=role)
                )
        same = {"camera": camera}
        self.blocks: dict[str, Block] = {
            "biasblock": make_block("bias", self.bias, master_id=self.master.id, **same),
            "darkblock": make_block("dark", self.darks, **same),
            "flatbyfilter": make_block("flat", self.flats, band="r", **same),
            "scibyfilter": make_block("sci", self.sci, band="r", **same),
            "superflat": make_block("fringe", band="r", master_id=self.fringe.id),
            "flatblock": make_block("flat", is_group=True),
            "sciblock": make_block("sci", is_group=True),
        }
        with transaction():
            self.blocks["flatbyfilter"].parent_id = self.blocks["flatblock"].id
            self.blocks["scibyfilter"].parent_id = self.blocks["sciblock"].id
            self.blocks["scibyfilter"].entries[0].product_id = self.product.id

    @staticmethod
    def made(kind: str, level: int, path: str, band: str | None) -> Frame:
        name = path.rpartition("/")[2]
        return make_frame(kind, level=level, path=path, file_name=name, band=band)

    def set_valid(self, endpoint: str, *, is_valid: bool) -> None:
        with transaction():
            row = self.sci[0] if endpoint == "individualfile" else self.blocks[endpoint]
            row.is_valid = is_valid

    def id_of(self, endpoint: str) -> int:
        if endpoint == "individualfile":
            return self.sci[0].id
        return self.blocks[endpoint].id


@pytest.fixture
def night(app: Flask) -> Night:
    return Night()


Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(client: FlaskClient) -> Ask:
    def asked(endpoint: str, kind: str = "get", **fields: Any) -> dict[str, Any]:
        response = client.post(f"/reduction/{endpoint}", json={"type": kind, **fields})
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = loads(response)
        assert set(answer) >= {"status", "msg"}
        return answer

    return asked


def loads(response: TestResponse) -> Any:
    def refuse(name: str) -> None:
        pytest.fail(f"{name} is no JSON")

    return json.loads(response.data, parse_constant=refuse)


def check_record(record: dict[str, Any], wanted: dict[str, Any]) -> None:
    optional: dict[str, Any] = WHEN_PRESENT if wanted is INDIVIDUAL_FILE else {}
    assert set(wanted) <= set(record) <= set(wanted) | set(optional)
    for name, value in record.items():
        assert isinstance(value, wanted.get(name) or optional[name]), name
    if "sci" in record:
        check_record(record["sci"][0], SCI)


# Reading


def test_get_answers_records_with_every_documented_key(ask: Ask, night: Night) -> None:
    for endpoint in (*RECORDS, "individual", "individualfiles", "flatblockbyfilter"):
        name = ALIASES.get(endpoint, endpoint)
        row = night.id_of(name)
        for selection in (NIGHT, {"id": row}, {"id": str(row), "valid": "1"}):
            answer = ask(endpoint, **selection)
            assert (answer["status"], bool(answer["msg"])) == (True, True)
            for record in answer["msg"]:
                check_record(record, RECORDS[name])


def test_members_of_blocks_are_records_of_their_own(ask: Ask, night: Night) -> None:
    bias = ask("biasblock", id=night.id_of("biasblock"))["msg"][0]
    flats = ask("flatblock", id=night.id_of("flatblock"))["msg"][0]
    science = ask("sciblock", id=night.id_of("sciblock"))["msg"][0]

    check_record(flats["flatsByFilter"][0], RECORDS["flatbyfilter"])
    check_record(science["sciByFilter"][0], RECORDS["scibyfilter"])
    single = science["sciByFilter"][0]
    every = (*bias["bias"], *flats["flatsByFilter"][0]["flats"], *single["scies"])
    for record in (*every, *single["processed"]):
        check_record(record, INDIVIDUAL_FILE)
    assert [r["file_type"] for r in every] == ["BIAS"] * 3 + ["FLAT"] * 3 + ["SCI"] * 2
    assert [r["file_type"] for r in single["processed"]] == ["PROCESSED"]
    assert bias["masterPath"] == "MASTERS/BIAS/b.fits"


def test_raw_and_reduced_frames_name_each_other(ask: Ask, night: Night) -> None:
    raw = ask("individualfile", id=night.sci[0].id)["msg"][0]
    reduced = ask("individualfile", id=night.product.id)["msg"][0]

    assert (raw["processed_id"], reduced["raw_sci_id"]) == (night.product.id, night.sci[0].id)
    assert raw["sci"][0]["masterBiasUsed"] == "MASTERS/BIAS/b.fits"
    assert raw["sci"][0]["masterBiasUsed_id"] == night.id_of("biasblock")
    assert raw["field"] == "STRIPE82-0001"
    assert raw["obsDate"].startswith("2026-11-20T22:00:")
    assert raw["medianavg"] is None  # it is not a number, which JSON cannot say


def test_darks_are_dark(ask: Ask, night: Night) -> None:
    assert ask("individualfile", id=night.darks[0].id)["msg"][0]["file_type"] == "DARK"


def test_block_ends_the_day_after_its_last_night(ask: Ask, night: Night) -> None:
    record = ask("biasblock", id=night.id_of("biasblock"))["msg"][0]

    assert (record["blockStartDate"], record["blockEndDate"]) == ("2026-11-20", "2026-11-21")


def test_dates_are_nights_and_both_ends_count(ask: Ask, night: Night) -> None:
    before = {"startDate": "2026-11-18", "endDate": "2026-11-19"}
    until = {"startDate": "2026-11-19", "endDate": "2026-11-20T23:00:00"}

    for endpoint in RECORDS:
        assert ask(endpoint, **before)["msg"] == []
        assert ask(endpoint, **until)["msg"] != []


def test_valid_chooses_the_other_half(ask: Ask, night: Night) -> None:
    for endpoint in ("individualfile", "biasblock", "scibyfilter", "sciblock", "superflat"):
        chosen = {"id": night.id_of(endpoint)}
        night.set_valid(endpoint, is_valid=False)

        assert ask(endpoint, **chosen)["msg"] == []
        assert ask(endpoint, **chosen, valid=1)["msg"] == []
        for spelling in (0, "0", False, "false"):
            records = ask(endpoint, **chosen, valid=spelling)["msg"]
            assert [(r["id"], r["isvalid"]) for r in records] == [(chosen["id"], 0)]


def test_contains_is_a_comma_list_any_of_which_matches(ask: Ask, night: Night) -> None:
    first, second = night.bias[0].file_name, night.flats[0].file_name

    for extra in ({}, NIGHT):
        found = ask("individualfile", contains=f"{first[:-5]} , {second}", **extra)["msg"]
        assert {record["file_name"] for record in found} == {first, second}
    with_id = {"id": night.bias[0].id}
    assert ask("individualfile", **with_id, contains=first)["msg"] != []
    assert ask("individualfile", **with_id, contains="nothing like it")["msg"] == []
    assert ask("biasblock", **NIGHT, contains=first)["msg"] != []
    assert ask("biasblock", **NIGHT, contains="nothing like it")["msg"] == []


# Refusals

BY_BAND = ("flatbyfilter", "scibyfilter")
BY_NIGHT = ("biasblock", "darkblock", "flatblock", "sciblock")
REGISTERED = ("biasblock", "darkblock", "flatbyfilter", "superflat")
START, END = {"startDate": "2026-11-20"}, {"endDate": "2026-11-20"}
NO_BAND = "No dates or band found in request"
NO_COMMENT = "No id or comment found in request"
NO_TILE = "No id or field/band found in request"
REFUSALS: list[tuple[Collection[str], dict[str, Any], str]] = [
    (ENDPOINTS, {}, "Request must contain 'type' arg."),
    (ENDPOINTS, {"type": None}, "Request must contain 'type' arg."),
    (ENDPOINTS, {"type": "get"}, "No id or dates found in request"),
    (RECORDS, {"type": "get", **START}, "Must provide endDate!"),
    (RECORDS, {"type": "get", **END}, "Must provide startDate!"),
    (ENDPOINTS, {"type": "validate"}, "No id found in request"),
    (ENDPOINTS, {"type": "setcomment", "id": 1}, NO_COMMENT),
    (ENDPOINTS, {"type": "setcomment", "comment": "x"}, NO_COMMENT),
    (RECORDS, {"type": "setstatus", "id": 1}, "No id or status found in request"),
    (RECORDS, {"type": "setstatus", "status": "1"}, "No id or status found in request"),
    (BLOCKS, {"type": "setsubstatus", "status": 1}, "No id nor status found in request"),
    (BLOCKS, {"type": "process"}, "No id found in request"),
    (BY_NIGHT, {"type": "create"}, "No dates found in request"),
    (BY_NIGHT, {"type": "create", **START}, "Must provide endDate!"),
    (BY_NIGHT, {"type": "create", **END}, "Must provide startDate!"),
    (BY_BAND, {"type": "create", **NIGHT}, NO_BAND),
    (BY_BAND, {"type": "create", "band": "r"}, NO_BAND),
    (BY_BAND, {"type": "create", "band": "r", **START}, "Must provide endDate!"),
    (REGISTERED, {"type": "register"}, "No filepath found in request"),
    (["finaltiles"], {"type": "process"}, NO_TILE),
    (["finaltiles"], {"type": "process", "field": "F"}, NO_TILE),
    (["finaltiles"], {"type": "processfield"}, "No field found in request"),
    (["fieldimages"], {"type": "process"}, "No field found in request"),
]


def test_what_is_missing_is_said_in_the_documented_words(client: FlaskClient) -> None:
    for endpoint, body, message in [(e, b, m) for names, b, m in REFUSALS for e in names]:
        response = client.post(f"/reduction/{endpoint}", json=body)
        assert response.status_code == 200
        assert response.get_json() == {"status": False, "msg": message}, (endpoint, body)


BAD_BODIES: list[dict[str, Any]] = [
    {"type": "no such type"},
    {"type": "get", "id": 999999},
    {"type": "get", "id": "10000000000000000000000000"},
    {"type": "get", "id": "five"},
    {"type": "get", "id": {"a": 1}},
    {"type": ["get"]},
    {"type": "get", "startDate": "yesterday", "endDate": "2026-11-20"},
    {"type": "get", "id": 1, "valid": "perhaps"},
    {"type": "validate", "id": 999999},
    {"type": "setcomment", "id": 999999, "comment": "x"},
    {"type": "setcomment", "id": 1, "comment": "\ud800"},
    {"type": "setcomment", "id": 1, "comment": "nul \0"},
    {"type": "setstatus", "id": 999999, "status": 1},
]


def test_no_bad_value_is_more_than_a_refusal(ask: Ask, night: Night) -> None:
    for endpoint, body in [(e, dict(b)) for e in ENDPOINTS for b in BAD_BODIES]:
        answer = ask(endpoint, body.pop("type"), **body)

        assert answer["status"] is False, (endpoint, body)
        assert isinstance(answer["msg"], str)
        assert answer["msg"]


# Changing


def test_comment_is_set_and_taken_away(ask: Ask, night: Night) -> None:
    for endpoint in RECORDS:
        chosen = {"id": night.id_of(endpoint)}
        for comment in ("thin cloud, 50 %", ""):
            assert ask(endpoint, "setcomment", **chosen, comment=comment)["status"] is True
            assert ask(endpoint, **chosen)["msg"][0]["comments"] == comment


def test_status_is_set_from_a_string(ask: Ask, night: Night) -> None:
    for endpoint in RECORDS:
        chosen = {"id": str(night.id_of(endpoint))}
        assert ask(endpoint, "setstatus", **chosen, status="1")["status"] is True
        assert ask(endpoint, **chosen)["msg"][0]["status"] == 1


def test_validate_says_the_new_value_of_a_file(ask: Ask, night: Night) -> None:
    chosen = {"id": night.bias[0].id}

    answers = [ask("individualfile", "validate", **chosen)["msg"] for _ in range(2)]

    assert answers == ["updated value to 0", "updated value to 1"]


def test_validate_of_a_block_turns_it_and_says_so(ask: Ask, night: Night) -> None:
    for endpoint in ("biasblock", "darkblock", "flatbyfilter", "scibyfilter", "superflat"):
        answer = ask(endpoint, "validate", id=night.id_of(endpoint))
        assert answer == {"status": True, "msg": "updated value"}
        assert night.blocks[endpoint].is_valid is False


@pytest.mark.parametrize("endpoint", ["flatblock", "sciblock"])
def test_blocks_by_band_follow_the_validity_of_their_group(
    ask: Ask, night: Night, endpoint: str
) -> None:
    part = {"flatblock": "flatbyfilter", "sciblock": "scibyfilter"}[endpoint]

    ask(endpoint, "validate", id=night.id_of(endpoint))

    assert night.blocks[part].is_valid is False


@pytest.mark.parametrize("endpoint", ["scibyfilter", "sciblock"])
def test_substatus_reaches_raw_and_reduced_frames(ask: Ask, night: Night, endpoint: str) -> None:
    answer = ask(endpoint, "setsubstatus", id=night.id_of(endpoint), status="2")

    assert answer == {"status": True, "msg": "updated values"}
    assert {frame.status for frame in (*night.sci, night.product)} == {2}


@pytest.mark.parametrize("endpoint", ["scibyfilter", "sciblock"])
def test_superflat_is_linked_and_cleared(ask: Ask, night: Night, endpoint: str) -> None:
    chosen = {"id": night.id_of(endpoint)}
    superflat = night.id_of("superflat")

    assert ask(endpoint, "setsuperflat", **chosen, superflatid=str(superflat))["status"] is True
    linked = ask("individualfile", id=night.sci[0].id)["msg"][0]
    assert ask(endpoint, "setsuperflat", **chosen, superflatid="-1")["status"] is True
    cleared = ask("individualfile", id=night.sci[0].id)["msg"][0]

    assert (linked["superflat_id"], linked["superFlatId"]) == (superflat, superflat)
    assert linked["superFlatPath"] == "MASTERS/FRINGE/f.fits"
    assert cleared["superflat_id"] is None
    check_record(linked, INDIVIDUAL_FILE)


def test_superflat_that_does_not_fit_is_refused(ask: Ask, night: Night) -> None:
    other = make_block("fringe", band="z", master_id=night.fringe.id)
    chosen = {"id": night.id_of("scibyfilter")}

    unknown = ask("scibyfilter", "setsuperflat", **chosen, superflatid=999999)
    wrong_band = ask("scibyfilter", "setsuperflat", **chosen, superflatid=other.id)

    assert (unknown["status"], unknown["msg"]) == (False, "No superflat found")
    assert wrong_band["msg"] == "Superflat not found for this band."


CREATED = [
    ("biasblock", {}, "Created block with: 3 BIAS"),
    ("darkblock", {}, "Created block with: 3 DARK"),
    ("flatbyfilter", {"band": "r"}, "Created flat by filter block."),
    ("flatblockbyfilter", {"band": "r"}, "Created flat by filter block."),
    ("flatblock", {}, "Created flat block with all bands blocks."),
    ("scibyfilter", {"band": "r"}, "Created sci by filter block."),
    ("sciblock", {}, "Created sci block with all bands blocks."),
]


def test_create_makes_a_block_of_the_nights_frames(ask: Ask, night: Night) -> None:
    for endpoint, more, message in CREATED:
        answer = ask(endpoint, "create", **NIGHT, **more)
        assert (answer["status"], answer["msg"]) == (True, message)
        record = ask(endpoint, id=answer["id"])["msg"][0]
        check_record(record, RECORDS[ALIASES.get(endpoint, endpoint)])


@pytest.mark.parametrize("spelling", ["contains", "nameContains"])
def test_create_takes_only_names_that_match(ask: Ask, night: Night, spelling: str) -> None:
    pattern = night.bias[1].file_name.removesuffix(".fits")

    answer = ask("biasblock", "create", **NIGHT, **{spelling: pattern})

    assert answer["msg"] == "Created block with: 1 BIAS"


@pytest.mark.parametrize("endpoint", ["scibyfilter", "flatbyfilter"])
def test_create_of_a_band_or_field_nobody_took_is_refused(
    ask: Ask, night: Night, endpoint: str
) -> None:
    assert ask(endpoint, "create", **NIGHT, band="F999")["status"] is False
    assert ask(endpoint, "create", **NIGHT, band="r", field="NOWHERE")["status"] is False


RUNNING = {
    "biasblock": "Processing bias block!",
    "darkblock": "Processing dark block!",
    "flatbyfilter": "running flatbyfilter block {id}",
    "flatblock": "Processing flat block!",
    "scibyfilter": "running scibyfilter block {id}",
    "sciblock": "Processing sci block!",
}


def test_process_queues_the_block(ask: Ask, night: Night) -> None:
    for endpoint, message in RUNNING.items():
        block_id = night.id_of(endpoint)
        answer = ask(endpoint, "process", id=block_id, code="ov")
        assert (answer["status"], answer["msg"]) == (True, message.format(id=block_id))
        assert db.session.get_one(Job, answer["job"]).state == JobState.QUEUED


def test_step_that_does_not_exist_is_refused_by_name(ask: Ask, night: Night) -> None:
    chosen = {"id": night.id_of("scibyfilter")}

    for code, named in {"sf": "sf", "ov co": "co", "ovsfmc": "sf", "xx": "xx"}.items():
        answer = ask("scibyfilter", "process", **chosen, code=code)
        assert answer["status"] is False
        assert f"'{named}'" in answer["msg"]


def test_frames_are_added_to_and_removed_from_a_block(ask: Ask, night: Night) -> None:
    for endpoint in ("biasblock", "darkblock", "flatbyfilter", "scibyfilter"):
        block = night.blocks[endpoint]
        frame = block.entries[0].frame_id

        removed = ask(endpoint, "remove", id=block.id, objid=str(frame))
        without = [entry.frame_id for entry in block.entries]
        added = ask(endpoint, "add", id=block.id, objid=str(frame))

        assert (removed["msg"], added["msg"]) == ("removed value", "added value")
        assert frame not in without
        assert frame in [entry.frame_id for entry in block.entries]


@pytest.mark.parametrize(
    ("group", "part"), [("flatblock", "flatbyfilter"), ("sciblock", "scibyfilter")]
)
def test_blocks_by_band_are_added_to_and_removed_from_a_group(
    ask: Ask, night: Night, group: str, part: str
) -> None:
    child = night.blocks[part]
    chosen = {"id": night.id_of(group), "objid": child.id}

    assert ask(group, "remove", **chosen)["msg"] == "removed value"
    assert child.parent_id is None
    assert ask(group, "add", **chosen)["msg"] == "added value"
    assert child.parent_id == night.id_of(group)


def test_register_of_a_file_that_is_not_there_is_refused(ask: Ask) -> None:
    for endpoint in REGISTERED:
        for path in ("MASTERS/BIAS/none.fits", "../../etc/passwd", "/etc/passwd", "MASTERS"):
            answer = ask(endpoint, "register", filepath=path)
            assert answer == {"status": False, "msg": "Unable to find file"}


def write_registered(path: Path, **cards: str) -> None:
    header = fits.Header()
    dates = {"START_DATE": "2026-11-01", "END_DATE": "2026-11-02"}
    for name, value in (dates | cards).items():
        header[f"HIERARCH {name}" if len(name) > 8 else name] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.PrimaryHDU(np.ones((48, 64), np.float32), header).writeto(path, overwrite=True)


def test_ready_masters_are_registered(ask: Ask, app: Flask) -> None:
    folder = paths.current().data / "MASTERS"
    kinds = {
        "biasblock": ("BIAS", {}, "Created bias block {id}"),
        "flatbyfilter": ("FLAT", {"BAND": "R"}, "Created flatbyfilter block {id}"),
        "superflat": ("FRINGE", {"BAND": "Z"}, "Created superflat block {id}"),
    }

    for endpoint, (kind, more, message) in kinds.items():
        write_registered(folder / f"{kind}.fits", MASTER_TYPE=kind, MASK_NAME="mask.fits", **more)
        absent = ask(endpoint, "register", filepath=f"MASTERS/{kind}.fits")
        (folder / "mask.fits").write_bytes((folder / f"{kind}.fits").read_bytes())
        answer = ask(endpoint, "register", filepath=f"MASTERS/{kind}.fits")
        (folder / "mask.fits").unlink()

        if kind != "FRINGE":
            assert absent == {"status": False, "msg": "Could not find mask.fits"}
        assert (answer["status"], answer["msg"]) == (True, message.format(id=answer["id"]))
        record = ask(endpoint, id=answer["id"])["msg"][0]
        check_record(record, RECORDS[endpoint])
        assert record["blockStartDate"] == "2026-11-01"
        wrong = "superflat" if endpoint != "superflat" else "biasblock"
        refused = ask(wrong, "register", filepath=f"MASTERS/{kind}.fits")
        assert refused == {"status": False, "msg": "Incorrect master type."}


# Tiles and fields: not made yet


def test_there_are_no_tiles_and_no_field_images_yet(ask: Ask) -> None:
    selections: tuple[dict[str, Any], ...] = (
        NIGHT,
        {"field": "STRIPE82-0001"},
        {"field": "STRIPE82-0001", "band": "R"},
        {"contains": "STRIPE82", "valid": 0},
        {**NIGHT, "contains": "STRIPE82", "flag": "2"},
    )

    for selection in selections:
        assert ask("finaltiles", **selection) == {"status": True, "msg": []}
    assert ask("finaltiles", "getfields")["msg"] == []
    assert ask("finaltiles", "getshort", field="F", band="R")["msg"] == []
    for endpoint in ("fieldimages", "fieldimage", "field"):
        assert ask(endpoint, field="STRIPE82-0001") == {"status": True, "msg": []}
        assert ask(endpoint, contains="STRIPE82") == {"status": True, "msg": []}


TILE_CALLS: list[tuple[str, str, dict[str, Any], str]] = [
    ("finaltiles", "process", {"id": 5}, "co-adding step (co) does not exist yet"),
    ("finaltiles", "process", {"field": "F", "band": "R"}, "(co) does not exist yet"),
    ("finaltiles", "processfield", {"field": "F", "code": "co", "status": "1"}, "does not exist"),
    ("finaltiles", "setstatus", {"id": 5, "status": 1}, "There is no final tile 5."),
    ("finaltiles", "setstatus", {**NIGHT, "contains": "S", "flag": 1, "status": 0}, "no final"),
    ("finaltiles", "setsubstatus", {"id": 5, "status": 1}, "There is no final tile 5."),
    ("finaltiles", "setflag", {"id": 5, "flag": 2}, "There is no final tile 5."),
    ("finaltiles", "setsuperflat", {"field": "F", "band": "R", "superflatid": 1}, "field F"),
    ("fieldimages", "process", {"field": "F"}, "does not exist yet"),
    ("fieldimages", "setflag", {"id": 5, "flag": 2}, "There is no field image 5."),
    ("fieldimages", "setcomment", {"id": 5, "comment": ""}, "There is no field image 5."),
]


def test_what_needs_a_tile_says_that_there_is_none(ask: Ask) -> None:
    for endpoint, kind, fields, message in TILE_CALLS:
        answer = ask(endpoint, kind, **fields)
        assert answer["status"] is False
        assert message in answer["msg"]


# The same rows by SELECT

VIEWS = {
    "individualfile": "files_individualfile",
    "biasblock": "files_biasblock",
    "flatbyfilter": "files_flatbyfilter",
    "flatblock": "files_flatsblock",
    "scibyfilter": "files_scibyfilter",
    "sciblock": "files_sciblock",
    "superflat": "files_superflat",
}


def test_select_gives_what_the_records_give(
    ask: Ask, client: FlaskClient, observer: User, night: Night
) -> None:
    ask(
        "scibyfilter",
        "setsuperflat",
        id=night.id_of("scibyfilter"),
        superflatid=night.id_of("superflat"),
    )

    for endpoint, view in VIEWS.items():
        answer = client.post("/reduction/rawQuery", json={"query": f"select * from {view}"})  # noqa: S608
        text = client.get(f"/media/{answer.get_json()['file']}", buffered=True).text
        rows = {row["id"]: row for row in csv.DictReader(text.splitlines())}
        records = ask(endpoint, **NIGHT)["msg"]
        scalars = {name for name, kind in RECORDS[endpoint].items() if kind is not list}
        assert {str(record["id"]) for record in records} == set(rows)
        for record in records:
            row = rows[str(record["id"])]
            assert set(row) == scalars
            for name in scalars - {"obsDate", "processedDate"}:
                assert row[name] == ("" if record[name] is None else str(record[name])), name


# How a body may come


def test_body_comes_in_every_form(client: FlaskClient, night: Night) -> None:
    wanted = {"type": "get", "id": str(night.id_of("biasblock")), "valid": "1"}
    json_text = json.dumps(wanted)
    form = "&".join(f"{name}={value}" for name, value in wanted.items())
    multipart = "".join(
        f'--xx\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in wanted.items()
    )
    bodies = (json_text, json_text[:-1] + " , }", form, multipart + "--xx--\r\n")
    types = (
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=xx",
        "text/plain",
        "",
    )

    for body in bodies:
        for content_type in types:
            response = client.post("/reduction/biasblock", data=body, content_type=content_type)
            assert response.get_json()["status"] is True, (body, content_type)
            assert len(response.get_json()["msg"]) == 1


def test_reading_works_from_the_query_string(client: FlaskClient, night: Night) -> None:
    got = client.get(f"/reduction/biasblock/?type=get&id={night.id_of('biasblock')}")
    changing = client.get(f"/reduction/biasblock?type=validate&id={night.id_of('biasblock')}")

    assert got.get_json()["status"] is True
    assert changing.get_json()["status"] is False
    assert night.blocks["biasblock"].is_valid is True


def test_single_quotes_get_a_refusal_that_says_where(client: FlaskClient) -> None:
    response = client.post("/reduction/biasblock", data="{'type': 'get'}")

    assert response.status_code == 400
    assert response.get_json()["status"] is False
    assert "single quote at line 1 column 2" in response.get_json()["msg"]


def test_body_nobody_can_read_is_refused_kindly(client: FlaskClient) -> None:
    for body in (b"", b"garbage", b"null", b"[]", b"\xff\xfe", b"--", b"{", b"[" * 100_000):
        response = client.post("/reduction/biasblock", data=body, content_type="application/json")
        assert response.status_code in {200, 400}
        assert response.get_json()["status"] is False


# Who may


def test_stranger_is_told_to_bring_a_token(stranger: FlaskClient) -> None:
    for endpoint in (*ENDPOINTS, *ALIASES):
        response = stranger.post(f"/reduction/{endpoint}", json={"type": "get"})
        assert response.status_code == 401
        assert response.get_json() == {"detail": "Authentication credentials were not provided."}


def test_block_shows_a_member_only_the_frames_they_may_see(
    app: Flask, observer: User, client: FlaskClient, night: Night, staff: User
) -> None:
    with transaction():
        night.sci[0].proposal = Proposal(code="P1")
    settings.change("access", "visibility", "members", by=staff)

    block = client.post(
        "/reduction/scibyfilter", json={"type": "get", "id": night.id_of("scibyfilter")}
    ).get_json()["msg"][0]
    hidden = client.post(
        "/reduction/individualfile", json={"type": "get", "id": night.sci[0].id}
    ).get_json()

    assert [record["id"] for record in block["scies"]] == [night.sci[1].id]
    assert hidden["status"] is False
