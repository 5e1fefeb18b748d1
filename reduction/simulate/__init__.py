"""A night with known truth: the demo, the tests and the accuracy bench are made of it."""

from reduction.simulate.detector import BadPixels, Detector, build_detector, read_out
from reduction.simulate.night import (
    expose,
    finish_growing,
    reference_catalogue,
    simulate_night,
    star_fields,
)
from reduction.simulate.params import Band, Field, NightParams, Proposal
from reduction.simulate.plan import Planned, plan_night
from reduction.simulate.sky import Moffat, StarField, Tangent
from reduction.simulate.truth import FrameTruth, Hits, Sources, Truth, read_truth

__all__ = [
    "BadPixels",
    "Band",
    "Detector",
    "Field",
    "FrameTruth",
    "Hits",
    "Moffat",
    "NightParams",
    "Planned",
    "Proposal",
    "Sources",
    "StarField",
    "Tangent",
    "Truth",
    "build_detector",
    "expose",
    "finish_growing",
    "plan_night",
    "read_out",
    "read_truth",
    "reference_catalogue",
    "simulate_night",
    "star_fields",
]
