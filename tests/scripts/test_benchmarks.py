"""The timings: what their table says, and that every arm of ours runs."""

import json
import sys
from pathlib import Path

import pytest

from scripts.benchmarks import __main__ as bench
from scripts.benchmarks import frame_cones, measure, ours, sky
from scripts.benchmarks.data import make_all
from scripts.benchmarks.measure import Meter, Result, run_once, run_rounds
from scripts.benchmarks.table import COMPARISONS, rows_of


def result_of(*cpu_s: float, **more: float) -> Result:
    return Result([{"cpu_s": cpu, "whole_cpu_s": 2 * cpu, **more} for cpu in cpu_s])


def test_ratio_is_ours_over_theirs_by_medians() -> None:
    results = {"cosmics": result_of(0.5, 9.0, 0.4), "scrappy": result_of(20.0, 30.0, 25.0)}

    (row,) = rows_of(results, quick=True)

    assert (row.ours, row.theirs, row.n) == (0.5, 25.0, 3)
    assert row.ratio == pytest.approx(0.02)
    assert row.aim == pytest.approx(1 / 40)


def test_peer_that_is_not_installed_has_no_ratio() -> None:
    (row,) = rows_of({"cosmics": result_of(0.5)}, quick=True)

    assert (row.theirs, row.ratio, row.note) == (None, None, "not installed")
    assert json.loads(json.dumps(row.as_json()))["row"] == "cosmic rays, 4 rounds"


def test_memory_of_combining_is_what_it_holds_beside_its_result() -> None:
    results = {"combine_clip": result_of(0.4, beside_mb=20.0)}

    memory = rows_of(results, quick=True)[-1]

    assert (memory.unit, memory.ours, memory.ratio) == ("MB", 20.0, 0.5)


def test_every_comparison_names_arms_that_exist() -> None:
    known = {*bench.OURS, *bench.FULL, *bench.COLD, *bench.SIRIL, *bench.CCDPROC, *bench.SCRAPPY}
    known |= {name for _, name in (*bench.SKY_MODULES, *bench.SKY_PROGRAMS)}

    named = {name for c in COMPARISONS for name in (c.ours, c.theirs)}
    assert {name for name in named if not name.startswith("list")} <= known


def test_arms_that_are_compared_run_one_after_the_other() -> None:
    arms = {name: (name,) for name in ("alone", "scan", "detrend", "ccdproc_scan", "floor_detrend")}

    ordered = bench.side_by_side(arms)

    assert [*ordered] == ["scan", "ccdproc_scan", "detrend", "floor_detrend", "alone"]
    assert ordered == arms


def test_arms_that_are_soon_done_run_in_every_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SOON_S", 1.0)
    report = "print('{\"cpu_s\": 1.0}')"
    arms = {
        "moment": (sys.executable, "-c", report),
        "long": (sys.executable, "-c", f"import time; time.sleep(1.1); {report}"),
        "broken": (sys.executable, "-c", "raise SystemExit('no such camera')"),
    }

    results = run_rounds(arms, 2, passes=3)

    assert {name: len(result.runs) for name, result in results.items()} == {
        "moment": 6,
        "long": 2,
        "broken": 0,
    }


def test_arm_that_fails_is_named_with_its_error() -> None:
    result = Result()

    run_once([sys.executable, "-c", "raise SystemExit('no such camera')"], result)

    assert result.runs == []
    assert result.trouble == "no such camera"


def test_arms_are_run_as_the_table_is_made(tmp_path: Path) -> None:
    make_all(tmp_path, side=256, frames=5, small=1)
    chosen = bench.commands(tmp_path, quick=True)

    results = run_rounds({name: chosen[name] for name in ("combine_cold", "floor_combine")}, 1)

    assert {name: result.trouble for name, result in results.items()} == dict.fromkeys(results, "")
    assert results["combine_cold"].median("whole_cpu_s") > 0
    assert results["floor_combine"].median("cpu_s") > 0
    wanted = {c.row for c in COMPARISONS if c.ours in bench.COLD}
    assert {row.row for row in rows_of(results, quick=True)} >= wanted


@pytest.mark.slow
def test_every_arm_of_ours_runs_on_small_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_cones, "FRAMES", 30)
    make_all(tmp_path, side=256, frames=5, small=8)
    sky.make(tmp_path, 3000)
    results = {name: Result() for name in bench.OURS}

    for name, result in results.items():  # in this process: a new one each would take minutes
        meter = Meter()
        ours.ARMS[name](meter, tmp_path)
        result.runs.append(meter.figures)

    wanted = {c.row for c in COMPARISONS if c.ours in bench.OURS}
    assert {row.row for row in rows_of(results, quick=True)} >= wanted
    assert results["scan"].median("files") == 8
    assert results["cosmics"].median("hits") > 10
    assert results["detect"].median("sources") > 5
    assert results["chain"].median("off_mmag") < 500  # of twenty stars, some on each other
    assert results["solve"].median("solved") == sky.FIELDS
    assert results["solve_blind"].median("solved") == sky.FIELDS
    assert results["zero_points"].median("off_mmag") < 1
    assert results["cones"].median("stars") > 0
