"""SOAR's Goodman spectrograph: lamps, techniques, and the values of its archive's records."""

import math

from reduction.camera import Amplifier, Section
from reduction.frameinfo import FrameKind
from reduction.headers.bands import canonical_band, is_open
from reduction.headers.draft import Draft
from reduction.headers.kinds import set_kind
from reduction.headers.sections import Geometry
from reduction.headers.values import is_true, number_of, text_of
from reduction.headers.writer import Writer

_LINE_LAMPS = ("LAMP_HGA", "LAMP_NE", "LAMP_AR", "LAMP_FE", "LAMP_CU")
_FLAT_LAMPS = ("LAMP_QUA", "LAMP_DOM", "LAMP_BUL")

# Text values of an archive record, and their keywords.
_RECORD = {
    "obstype": "OBSTYPE",
    "filter": "FILTER",
    "filter_2": "FILTER2",
    "grating": "GRATING",
    "slit": "SLIT",
    "cam_targ": "CAM_TARG",
    "grt_targ": "GRT_TARG",
    "obsra": "OBSRA",
    "obsdec": "OBSDEC",
    "gain": "GAIN",
    "rdnoise": "RDNOISE",
    "roi": "ROI",
    "wavmode": "WAVMODE",
    "proposal_id": "PROPOSAL",
    "instconf": "INSTCONF",
}
_RECORD_NUMBERS = {
    "observation_id": "OBSID",
    "configuration_id": "CONFID",
    "block_id": "BLKUID",
    "image_id": "IMAGEID",
}
# Unbinned, one-based and inclusive: the illuminated columns, and the overscan of either camera.
_FIRST_COLUMN, _LAST_COLUMN = 51, 4110
_RED_OVERSCAN = (6, 49)
_BLUE_OVERSCAN = (1, 16)


def _is_spectroscopy(draft: Draft) -> bool:
    """Tell the technique as the observatory's own pipeline does: by slit, grating and mode."""
    cards = draft.cards
    grating = (text_of(cards, "GRATING") or "").upper()
    if (text_of(cards, "WAVMODE") or "").upper() == "IMAGING":
        return False
    if not grating:
        return "SPECTROSCOPIC" in cards.text("ROI").upper()
    return "NO" not in grating.replace("_", " ").replace("<", " ").split()


def _lamp(draft: Draft, lamps: tuple[str, ...]) -> str | None:
    return next((lamp for lamp in lamps if is_true(draft.cards, lamp)), None)


def _kind(draft: Draft, spectroscopy: bool) -> None:
    """Let the lamps tell: OBSTYPE is often left at FOCUS or OBJECT while they are on."""
    said = draft.get("kind")
    line_lamp = _lamp(draft, _LINE_LAMPS)
    if line_lamp and spectroscopy and said in (FrameKind.FOCUS, FrameKind.SCIENCE):
        set_kind(draft, FrameKind.ARC, line_lamp, f"OBSTYPE says {said.value}, a line lamp is on")
        return
    flat_lamp = _lamp(draft, _FLAT_LAMPS)
    if said == FrameKind.SCIENCE and flat_lamp:
        draft.values["kind_doubt"] = f"it calls itself an object, {flat_lamp} is on"
    if said == FrameKind.FLAT:
        dome = _lamp(draft, ("LAMP_DOM",))
        draft.put("flat_source", "dome" if dome else "lamp", dome or "LAMP_QUA", "the lamp")


def _record(draft: Draft) -> dict[str, object]:
    record: dict[str, object] = {}
    for name, keyword in _RECORD.items():
        record[name] = draft.cards.text(keyword).strip()
    for name, keyword in _RECORD_NUMBERS.items():
        number = number_of(draft.cards, keyword)
        record[name] = None if number is None else int(number)
    return record


def _level(draft: Draft) -> None:
    """Read from the pipeline's own keywords how far a file has come."""
    cards = draft.cards
    if "GSP_FNAM" not in cards:
        return
    name = cards.text("GSP_FNAM").lower()
    if name.startswith(("master_bias", "master_flat", "norm_master", "master_")):
        draft.put("level", 1, "GSP_FNAM", "a master by its pipeline name")
    elif draft.get("ny") == 1:
        solved = number_of(cards, "GSP_WRMS") is not None
        rule = "a spectrum, wavelength calibrated" if solved else "an extracted spectrum"
        draft.put("level", 4 if solved else 3, "GSP_WRMS" if solved else "GSP_FNAM", rule)


def _last(draft: Draft) -> None:
    spectroscopy = _is_spectroscopy(draft)
    technique = "spectroscopy" if spectroscopy else "imaging"
    draft.put("technique", technique, "WAVMODE", "grating and wavelength mode")
    _kind(draft, spectroscopy)
    mode, filters = text_of(draft.cards, "WAVMODE"), ("FILTER", "FILTER2")
    if draft.get("kind") in (FrameKind.BIAS, FrameKind.DARK):
        draft.values.pop("band", None)
    elif spectroscopy and mode:
        draft.put("band", " ".join(mode.replace("_", " ").split()), "WAVMODE", "the mode")
    else:
        used = [(k, t) for k in filters if (t := text_of(draft.cards, k)) and not is_open(t)]
        if used:
            draft.put("band", canonical_band(used[0][1]), used[0][0], "the wheel that is in")
    roi = text_of(draft.cards, "ROI")
    if roi:
        draft.put("readout_mode", roi, "ROI", "the region read")
    proposal = text_of(draft.cards, "PROPOSAL")
    if proposal:
        draft.put("proposal_code", proposal, "PROPOSAL", "as it stands")
    draft.values["extras"] = _record(draft)
    _level(draft)


def _geometry(draft: Draft, stated: Geometry) -> Geometry:
    """Trim and overscan as the observatory's pipeline: TRIMSEC in these headers is unreliable.

    Frames narrower than the whole row of pixels keep what their header says.
    """
    amplifier = stated.amplifiers[0]
    ny, nx = draft.values["ny"], draft.values["nx"]
    bin_x = int(draft.get("binning_x") or 1)
    x0 = math.ceil(_FIRST_COLUMN / bin_x) - 1
    x1 = _LAST_COLUMN // bin_x
    if x1 > nx or ny < 3 or draft.get("level"):
        return stated
    red = "RED" in draft.cards.text("INSTCONF").upper()
    first, last = _RED_OVERSCAN if red else _BLUE_OVERSCAN
    data = Section(1, ny, x0, x1)
    overscan = Section(1, ny, (first - 1) // bin_x, last // bin_x)
    target = Section(0, ny - 1, 0, x1 - x0)
    rows, columns = target.shape
    placed = Amplifier(amplifier.hdu, data, overscan, target)
    rule = "the pipeline's trim and overscan of this camera"
    return Geometry((placed,), rows, columns, "INSTCONF", rule)


GOODMAN = Writer("SOAR Goodman", gain="electrons", geometry=_geometry, last=_last)
