import json
import math
from datetime import UTC, date, datetime

import pytest

from app.services.registration import (
    FOREIGN_MASTER,
    clean,
    first_columns,
    header_columns,
    plain,
    readout_key,
)
from reduction.frameinfo import FrameInfo, FrameKind, Origin


def info(**values: object) -> FrameInfo:
    return FrameInfo(**({"writer": "test", "kind": FrameKind.SCIENCE, "nx": 4, "ny": 3} | values))  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_number_that_is_none_becomes_unsaid_with_a_doubt(bad: float) -> None:
    columns = header_columns(info(exptime_s=bad, ra_deg=12.5))

    assert columns["exptime_s"] is None
    assert columns["ra_deg"] == 12.5
    assert "no number" in columns["doubts"]["exptime_s"]
    assert "ra_deg" not in columns["doubts"]


@pytest.mark.parametrize("bad", [0, -3, 2**63])
def test_impossible_count_becomes_one_with_a_doubt(bad: int) -> None:
    columns = header_columns(info(binning_x=bad))

    assert columns["binning_x"] == 1
    assert str(bad) in columns["doubts"]["binning_x"]


def test_texts_lose_what_no_database_stores() -> None:
    columns = header_columns(
        info(
            object_name="NGC\x001 \u00e9",
            observer="half \ud800",
            origins={"observer": Origin("OBSERVER= 'half \ud800'", "as it stands", "odd")},
        )
    )

    assert columns["object_name"] == "NGC1 \u00e9"
    assert columns["observer"] == "half ?"
    assert columns["origins"] == {
        "observer": {"card": "OBSERVER= 'half ?'", "rule": "as it stands", "doubt": "odd"}
    }
    assert columns["doubts"] == {"observer": "odd"}


def test_everything_in_json_columns_is_json() -> None:
    extras = {
        "when": datetime(2025, 11, 20, tzinfo=UTC),
        "night": date(2025, 11, 20),
        "bad": math.nan,
        "many": (1, 2.5, {"deep": math.inf}),
        "kind": FrameKind.ARC,
        "flag": True,
        "set": frozenset({"a"}),
        "odd": complex(1, 2),
    }

    assert json.loads(json.dumps(plain(extras), allow_nan=False)) == {
        "when": "2025-11-20T00:00:00+00:00",
        "night": "2025-11-20",
        "bad": None,
        "many": [1, 2.5, {"deep": None}],
        "kind": "arc",
        "flag": True,
        "set": ["a"],
        "odd": "(1+2j)",
    }


def test_readout_key_tells_gain_settings_and_modes_apart() -> None:
    keys = {
        readout_key(info()),
        readout_key(info(gain_setting=100.0)),
        readout_key(info(gain_setting=100.0, offset_setting=10.0)),
        readout_key(info(readout_mode="Fast")),
        readout_key(info(bits=8)),
    }

    assert len(keys) == 5


def test_stored_bits_of_one_detector_do_not_separate_its_frames() -> None:
    assert readout_key(info(bits=16)) == readout_key(info(bits=-32)) == ""


def test_master_of_another_program_waits_for_somebody_to_validate_it() -> None:
    assert first_columns(info(level=1)) == {"is_valid": False, "notes": [FOREIGN_MASTER]}
    assert first_columns(info(level=0)) == {"is_valid": True, "notes": []}


def test_clean_keeps_ordinary_text() -> None:
    assert clean("SIMPLE  = T\nEND \u00b0") == "SIMPLE  = T\nEND \u00b0"
