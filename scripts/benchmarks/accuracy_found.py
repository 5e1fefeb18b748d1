"""Which stars are found, source by source beside other programs at the same threshold."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from scipy.spatial import cKDTree

from reduction.photometry.deblend import DetectionParams, filter_taps
from reduction.photometry.detection import detect
from scripts.benchmarks.accuracy_facts import Fact
from scripts.benchmarks.accuracy_frames import Floats, Simulated

OURS: Final = "ours"
SCRIPT: Final = Path(__file__).resolve().parent / "sky_peers.py"
FEWER: Final = 0.005  # of the stars, that may be found fewer than another program finds
SIGNALS: Final = (8.0, 12.0, 25.0, np.inf)  # between which shares are told apart
Flags = npt.NDArray[np.bool_]


def completeness(of: str, frames: Iterable[Simulated], peers: str | None) -> Fact:
    """Return which of the stars are found by each program, and by one alone."""
    found: dict[str, list[Flags]] = {}
    false: dict[str, int] = {}
    snr = []
    for frame in frames:
        side = frame.image.shape[0]
        inside = np.minimum.reduce([frame.x, frame.y, side - 1 - frame.x, side - 1 - frame.y]) > 0
        snr.append(frame.snr[inside])
        for name, places in lists_of(frame, peers).items():
            hit, n_false = matched(frame, places)
            found.setdefault(name, []).append(hit[inside])
            false[name] = false.get(name, 0) + n_false
    signal = np.concatenate(snr)
    return told(of, signal, {name: np.concatenate(one) for name, one in found.items()}, false)


def lists_of(frame: Simulated, peers: str | None) -> dict[str, Floats]:
    """Return the places every program there is finds sources at, ``(n, 2)`` each.

    All filter with the same matched filter and ask for the same signal to noise in it.
    """
    sources = detect(frame.image).sources
    made = {OURS: np.column_stack([sources.x, sources.y])}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_task(folder, frame)
        if shutil.which("source-extractor") or shutil.which("sex"):
            made["SExtractor"] = listed(sys.executable, "sextractor_list", folder)
        if peers is not None:
            made["sep"] = listed(peers, "sep_list", folder)
    return made


def write_task(folder: Path, frame: Simulated) -> None:
    """Write a frame, and how it is to be looked through."""
    fits.PrimaryHDU(frame.image.data).writeto(folder / "frame.fits")
    taps = filter_taps(frame.fwhm).astype(np.float64)
    asked = DetectionParams()
    # Others ask for so many sigma of an unfiltered pixel, which a filter's noise is a part of.
    part = float(np.sum(taps**2) / taps.sum() ** 2)
    task = {"taps": taps.tolist(), "threshold": asked.threshold_sigma * part,
            "min_pixels": asked.min_pixels, "mesh": asked.mesh_pix,
            "contrast": asked.deblend_contrast}  # fmt: skip
    (folder / "task.json").write_text(json.dumps(task))


def listed(python: str, arm: str, folder: Path) -> Floats:
    """Return the places another program finds sources at."""
    subprocess.run([python, str(SCRIPT), arm, str(folder)], check=True, capture_output=True)
    return np.asarray(np.load(folder / f"{arm}.npy"), np.float64)


def matched(frame: Simulated, places: Floats) -> tuple[Flags, int]:
    """Return which stars have a source of their own, and how many sources no star is near to."""
    stars = cKDTree(np.column_stack([frame.x, frame.y]))
    away, which = stars.query(places)
    near = np.flatnonzero(away < frame.fwhm / 2)
    # Of several stars under one source the one it lies nearest to has it.
    hit = np.zeros(len(frame.x), np.bool_)
    hit[which[near]] = True
    return hit, int(np.count_nonzero(away > frame.fwhm))


def told(of: str, snr: Floats, found: dict[str, Flags], false: dict[str, int]) -> Fact:
    """Return the shares of stars that are found, together and by signal to noise."""
    figures: dict[str, float] = {"stars": len(snr)}
    parts, missed = [], []
    for name, hit in found.items():
        shares = [float(hit[(snr >= a) & (snr < b)].mean())
                  for a, b in zip(SIGNALS[:-1], SIGNALS[1:], strict=True)]  # fmt: skip
        figures |= {f"{name}": float(hit.mean()), f"{name}_false": false[name]}
        figures |= {f"{name}_from_{a:.0f}": s for a, s in zip(SIGNALS, shares, strict=False)}
        text = " ".join(f"{100 * share:.1f}" for share in shares)
        parts.append(f"{name} {100 * hit.mean():.1f} % ({text}; {false[name]} false)")
        if name == OURS:
            continue
        alone, theirs = (found[OURS] & ~hit).mean(), (hit & ~found[OURS]).mean()
        figures |= {f"ours_not_{name}": float(alone), f"{name}_not_ours": float(theirs)}
        parts[-1] += f", ours alone {100 * alone:.1f} %, it alone {100 * theirs:.1f} %"
        if theirs - alone > FEWER:
            missed.append(f"as many as {name}")
    where = "/".join(f"{signal:.0f}" for signal in SIGNALS[:-1])
    return Fact(f"found of stars ({where} S/N up): {of}", "; ".join(parts), figures,
                ", ".join(missed))  # fmt: skip
