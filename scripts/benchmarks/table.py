"""The rows of the table: what is compared with what, and how small the ratio must be."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from scripts.benchmarks.measure import Result


@dataclass(frozen=True)
class Comparison:
    """One row: our arm, the other's, the figure compared, the largest ratio allowed."""

    row: str
    against: str
    ours: str
    theirs: str
    aim: float
    figure: str = "cpu_s"
    their_figure: str = ""  # where it is another one: a program's time is its whole process
    full_only: bool = False


@dataclass(frozen=True)
class Row:
    """One row as measured; `theirs` and `ratio` are None where the peer is not there."""

    row: str
    against: str
    unit: str
    ours: float | None
    theirs: float | None
    ratio: float | None
    aim: float
    n: int
    note: str = ""

    def as_json(self) -> dict[str, object]:
        """Return the row as it is written to a file."""
        return asdict(self)


SCAN = "scan: headers read, translated and stored"
CLIP = "combine, 3 sigma clip to convergence"
COLD = "combine, as whole cold processes"
DETREND = "detrend one frame to SCI, VAR, DQ"
SOURCES = "sources: sky, deblending, centroids, shapes"
POINTED, BLIND = "solve 10 fields with a pointing", "solve 10 fields without any hint"
LIST = "frames list, 1000 pages of 100 over HTTP, server"
COMPARISONS = (
    Comparison(SCAN, "astropy getheader", "scan", "scan_astropy", 1 / 12),
    Comparison(SCAN, "ccdproc.ImageFileCollection", "scan", "ccdproc_scan", 1 / 30),
    Comparison(SCAN, "floor: open, read two blocks, stat", "scan", "floor_scan", 10.0),
    Comparison("rescan, nothing new", "floor: list and stat", "rescan", "floor_rescan", 2.0),
    Comparison(CLIP, "Siril stack rej", "combine_clip", "siril_stack", 1 / 12),
    Comparison(
        COLD, "Siril stack rej", "combine_cold", "siril_stack", 1 / 4, "whole_cpu_s", "cpu_s"
    ),
    Comparison(CLIP, "ccdproc.combine", "combine_clip", "ccdproc_combine", 1 / 35),
    Comparison(CLIP, "floor: read all, write one plane", "combine_clip", "floor_combine", 4.0),
    Comparison("combine, median", "numpy in tiles", "combine_median", "median_numpy", 1 / 20),
    Comparison(DETREND, "Siril calibrate (no VAR, no DQ)", "detrend", "siril_calibrate", 1 / 2.5),
    Comparison(DETREND, "ccdproc with uncertainties", "detrend", "ccdproc_detrend", 1 / 18),
    Comparison(DETREND, "floor: read, write the product", "detrend", "floor_detrend", 2.5),
    Comparison("cosmic rays, 4 rounds", "astroscrappy sepmed", "cosmics", "scrappy", 1 / 40),
    Comparison(
        "whole night on two cores", "reading it, writing it to disk", "night", "floor_night",
        3.0, "wall_s", full_only=True,
    ),
    Comparison(SOURCES, "sep", "detect", "sep", 0.6),
    Comparison(SOURCES, "SExtractor", "detect", "sextractor", 0.6),
    Comparison("sources, their place, circles, zero point", "SExtractor alone", "chain",
               "sextractor", 1.5),
    Comparison(POINTED, "twirl", "solve", "twirl", 1 / 15),
    Comparison(POINTED, "solve-field, C alone", "solve", "solve_field", 1 / 8),
    Comparison(POINTED, "solve-field as it is run", "solve", "solve_field_whole", 1 / 80),
    Comparison(BLIND, "solve-field, C alone", "solve_blind", "solve_field_blind", 1 / 3),
    Comparison("50 zero points with a colour term", "statsmodels RLM, clipped", "zero_points",
               "zero_points_rlm", 1.0),
    Comparison("2000 cones, one at a time, from disk", "astropy, all at once, in memory", "cones",
               "cones_astropy", 2.0),
    Comparison("a place on 1000 frames' sources", "every source of them looked at", "frame_cones",
               "frame_cones_all", 1.0),
    Comparison(LIST, "Django REST framework, its tokens", "list", "list_drf_tokens", 1 / 4),
    Comparison(LIST, "Django REST framework, no tokens", "list", "list_drf_open", 1 / 4),
)  # fmt: skip
MEMORY_AIM_MB = 40.0


def rows_of(results: Mapping[str, Result], *, quick: bool) -> list[Row]:
    """Return the rows of a run."""
    chosen = [c for c in COMPARISONS if c.ours in results and not (quick and c.full_only)]
    rows = [_row(comparison, results) for comparison in chosen]
    return [*rows, _memory(results["combine_clip"])] if "combine_clip" in results else rows


def _row(comparison: Comparison, results: Mapping[str, Result]) -> Row:
    ours, theirs = results[comparison.ours], results.get(comparison.theirs)
    figure = comparison.figure
    own = ours.median(figure) if ours.runs else None
    their_figure = comparison.their_figure or figure
    other = theirs.median(their_figure) if theirs is not None and theirs.runs else None
    note = "not installed" if theirs is None else theirs.trouble or ours.trouble
    return Row(
        row=comparison.row,
        against=comparison.against,
        unit="s wall" if figure == "wall_s" else "s CPU",
        ours=own,
        theirs=other,
        ratio=own / other if own is not None and other else None,
        aim=comparison.aim,
        n=min(len(ours.runs), len(theirs.runs) if theirs is not None else 0),
        note=note,
    )


def _memory(ours: Result) -> Row:
    """Return what combining needs of memory beside its result, against what it may."""
    own = ours.median("beside_mb") if ours.runs else None
    return Row(
        row="combine, memory above a warm worker and the result",
        against="the allowance of one thread",
        unit="MB",
        ours=own,
        theirs=MEMORY_AIM_MB,
        ratio=own / MEMORY_AIM_MB if own is not None else None,
        aim=1.0,
        n=len(ours.runs),
        note=ours.trouble,
    )


def print_table(rows: list[Row]) -> None:
    """Print the rows, ratios as fractions where they are below one."""
    head = ("row", "against", "ours", "theirs", "unit", "ratio", "aim", "n")
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    for line in lines:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )


def _cells(row: Row) -> tuple[str, ...]:
    verdict = row.note
    if row.ratio is not None:
        verdict = _ratio(row.ratio) + ("" if row.ratio <= row.aim else " MISSED")
    return (
        row.row,
        row.against,
        _number(row.ours),
        _number(row.theirs),
        row.unit,
        verdict,
        _ratio(row.aim),
        str(row.n),
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 1 else f"1/{1 / value:.1f}" if value > 0 else "0"
