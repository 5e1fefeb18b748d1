"""Timings beside peers and floors: `scripts/bench [--quick] [--json FILE]`."""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.benchmarks import accuracy, chain, frame_cones, lists, sky
from scripts.benchmarks.data import make_all
from scripts.benchmarks.measure import run_rounds
from scripts.benchmarks.night import NOTED
from scripts.benchmarks.table import COMPARISONS, print_table, rows_of

ROOT = Path(__file__).resolve().parent.parent.parent
OURS = (
    "scan", "scan_astropy", "floor_scan", "rescan", "floor_rescan", "combine_clip",
    "floor_combine", "combine_median", "median_numpy", "detrend", "floor_detrend", "cosmics",
    *sky.ARMS, *chain.ARMS, *frame_cones.ARMS,
)  # fmt: skip
FULL = ("night", "floor_night")
COLD = ("combine_cold",)  # loads nothing that the others need
SIRIL = ("siril_stack", "siril_calibrate")
CCDPROC = ("ccdproc_scan", "ccdproc_combine", "ccdproc_detrend")
SCRAPPY = ("scrappy",)
# Peers on the sky, by what has to be there: a module of the peers' interpreter, or a program.
SKY_MODULES = (("sep", "sep"), ("twirl", "twirl"), ("statsmodels", "zero_points_rlm"),
               ("astropy", "cones_astropy"))  # fmt: skip
SKY_PROGRAMS = (("source-extractor", "sextractor"), ("sex", "sextractor"),
                ("solve-field", "solve_field"), ("solve-field", "solve_field_whole"),
                ("solve-field", "solve_field_blind"))  # fmt: skip
INSTALL = (
    "peers that are not installed are left out; all of them: scripts/bench --install-peers "
    "(and, as root, apt install siril source-extractor astrometry.net)"
)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller frames, fewer rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    parser.add_argument("--rounds", type=int, help="rounds of all arms (3; quick: 2)")
    parser.add_argument("--folder", type=Path, help="where the made frames are kept")
    parser.add_argument("--accuracy", action="store_true", help="simulated truth, not times")
    parser.add_argument("--only", help="only arms whose name contains this")
    parser.add_argument("--install-peers", action="store_true", help="make the peers' environment")
    return parser.parse_args(arguments)


def instance() -> Path:
    """Return the instance folder."""
    return Path(os.environ.get("COELOSTAT_INSTANCE", ROOT / "instance"))


def peers_python() -> str | None:
    """Return the interpreter that has the peers, if there is one."""
    given = os.environ.get("COELOSTAT_BENCH_PEERS")
    path = Path(given) if given else instance() / "bench" / "peers" / "bin" / "python"
    return str(path) if path.exists() else None


def install_peers() -> None:
    """Make an environment of their own for the peers that are Python packages."""
    folder = instance() / "bench" / "peers"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    packages = ["ccdproc", "astroscrappy", "bottleneck", "djangorestframework", "gunicorn"]
    packages += ["sep", "twirl", "statsmodels", "numba"]  # twirl is 30 times as fast with numba
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)


def has(python: str, module: str) -> bool:
    """Tell whether an interpreter can import a module."""
    done = subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False)
    return done.returncode == 0


def commands(folder: Path, *, quick: bool) -> dict[str, Sequence[str]]:
    """Return the command of every arm that can run here, ours beside the peers'."""
    ours = OURS if quick else OURS + FULL
    made: dict[str, Sequence[str]] = {
        name: (sys.executable, "-m", "scripts.benchmarks.ours", name, str(folder)) for name in ours
    }
    made |= {
        name: (sys.executable, "-m", "scripts.benchmarks.combining", name, str(folder))
        for name in COLD
    }
    script, python = str(ROOT / "scripts" / "benchmarks" / "peers.py"), peers_python()
    if shutil.which("siril-cli"):
        made |= {name: (sys.executable, script, name, str(folder)) for name in SIRIL}
    for module, names in (("ccdproc", CCDPROC), ("astroscrappy", SCRAPPY)):
        if python is not None and has(python, module):
            made |= {name: (python, script, name, str(folder)) for name in names}
    made |= sky_peers(folder, python)
    has_drf = python is not None and has(python, "rest_framework") and has(python, "gunicorn")
    return side_by_side(made | lists.commands(folder, python if has_drf else None))


def side_by_side(arms: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Return the arms in the order of the rows: a machine's pace changes from minute to minute."""
    compared = [name for row in COMPARISONS for name in (row.ours, row.theirs)]
    return {name: arms[name] for name in dict.fromkeys([*compared, *arms]) if name in arms}


def peers_with_sep() -> str | None:
    """Return the interpreter that has sep, if there is one."""
    python = peers_python()
    return python if python is not None and has(python, "sep") else None


def sky_peers(folder: Path, python: str | None) -> dict[str, Sequence[str]]:
    """Return the commands of the peers on the sky; programs are run by our own interpreter."""
    script = str(ROOT / "scripts" / "benchmarks" / "sky_peers.py")
    made: dict[str, Sequence[str]] = {
        name: (sys.executable, script, name, str(folder))
        for program, name in SKY_PROGRAMS
        if shutil.which(program)
    }
    if python is not None:
        made |= {
            name: (python, script, name, str(folder))
            for module, name in SKY_MODULES
            if has(python, module)
        }
    return made


def machine() -> dict[str, object]:
    """Return what the timings were taken on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def main(arguments: Sequence[str]) -> None:
    """Make the frames, run the arms, print the table."""
    options = parse(arguments)
    if options.install_peers:
        install_peers()
        return
    quick = options.quick
    if options.accuracy:
        accuracy.tell(accuracy.measured(quick=quick, peers=peers_with_sep()), options.json)
        return
    folder = options.folder or instance() / "bench" / ("quick" if quick else "full")
    folder.mkdir(parents=True, exist_ok=True)
    side, frames, small = (2048, 12, 400) if quick else (4096, 20, 2000)
    make_all(folder, side=side, frames=frames, small=small)
    sky.make(folder, 200_000 if quick else 2_000_000)
    lists.make(folder, 100_000 if quick else 1_000_000)
    chosen = commands(folder.resolve(), quick=quick)
    if options.only:
        chosen = {name: command for name, command in chosen.items() if options.only in name}
    results = run_rounds(chosen, options.rounds or (2 if quick else 3), passes=1 if quick else 3)
    rows = rows_of(results, quick=quick)
    print_table(rows)
    for name, said in NOTED.items():
        if name in results and results[name].runs:
            print(f"{said}: {results[name].median('mb_per_s'):.0f} MB/s")
    if "chain" in results and results["chain"].runs:
        print(f"fluxes by the PSF, beside that: {results['chain'].median('psf_cpu_s'):.2f} s CPU")
    print(INSTALL)
    if options.json is not None:
        found = {"machine": machine(), "rows": [row.as_json() for row in rows]}
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
