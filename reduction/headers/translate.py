"""From the headers of a file to what its exposures are."""

from collections.abc import Sequence
from datetime import UTC, datetime

from reduction.camera import Amplifier, CameraProfile, Observatory
from reduction.cards import Cards, FileHeaders, HduHeader
from reduction.errors import BadFileError
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.headers import readers
from reduction.headers.common_part import common_part
from reduction.headers.draft import Draft
from reduction.headers.kinds import set_kind
from reduction.headers.places import read_position, read_site
from reduction.headers.product import is_product, translate_product
from reduction.headers.profiles import apply_profile, matching_profile
from reduction.headers.sections import Geometry, mosaic
from reduction.headers.times import read_night, read_times
from reduction.headers.writer import Writer

# Planes that belong to an image and are none of their own.
_AUXILIARY = frozenset(
    {"UNCERT", "UNCERTAINTY", "ERR", "ERROR", "SIGMA", "VAR", "VARIANCE", "IVAR", "WEIGHT", "WHT"}
    | {"MASK", "DQ", "FLAGS", "BPM", "QUALITY", "PSFIMAGE"}
)
_AMPLIFIER_FIELDS = ("gain_e_per_adu", "read_noise_e", "saturation_adu")


def translate(
    file: FileHeaders,
    *,
    file_name: str,
    profiles: Sequence[CameraProfile] = (),
    site: Observatory | None = None,
    now: datetime | None = None,
) -> list[FrameInfo]:
    """Translate the headers of a file.

    The writer is named first, then its rules and those of all are applied, then the camera
    profile; what cannot be known is left unsaid or doubted.

    Parameters
    ----------
    file : FileHeaders
        As `reduction.fitsio.read_headers` returns them.
    file_name : str
        Without its folder; a hint, and what the profiles' file-name rules match.
    profiles : sequence of CameraProfile
        The first that matches instrument and telescope counts.
    site : Observatory or None
        Where a camera stands whose header and profile do not say.
    now : datetime or None
        Aware; frames from later are doubted. None is the clock.

    Returns
    -------
    list of FrameInfo
        One an exposure, in the order of their HDUs; the amplifiers of one detector are one.

    Raises
    ------
    BadFileError
        ``no_image`` where no HDU holds an image.
    """
    if is_product(file):
        return [translate_product(file)]
    images = [hdu for hdu in file.hdus if hdu.shape]
    if not images:
        raise BadFileError("no_image", f"{file_name} holds no image.")
    context = _Context(file.hdus[0], file_name, profiles, site, now or datetime.now(UTC))
    own = [h for h in images if h.cards.text("EXTNAME").strip().upper() not in _AUXILIARY] or images
    detector = mosaic(own) if all(_has_detector_section(hdu) for hdu in own) else None
    if detector is not None:
        return [context.translate(own[0], detector)]
    return [context.translate(hdu, _detector_of(hdu)) for hdu in own]


def _has_detector_section(hdu: HduHeader) -> bool:
    return "DETSEC" in hdu.cards or "DETSECA" in hdu.cards


def _detector_of(hdu: HduHeader) -> Geometry | None:
    """Return the geometry of one detector whose HDU holds several amplifiers."""
    return mosaic([hdu]) if "DETSECA" in hdu.cards and "DETSECB" in hdu.cards else None


class _Context:
    """What is the same for all exposures of a file."""

    def __init__(
        self,
        primary: HduHeader,
        file_name: str,
        profiles: Sequence[CameraProfile],
        site: Observatory | None,
        now: datetime,
    ) -> None:
        self.primary = primary
        self.file_name = file_name
        self.profiles = profiles
        self.site = site
        self.now = now

    def translate(self, hdu: HduHeader, detector: Geometry | None) -> FrameInfo:
        """Translate one exposure: that of `hdu`, or of a detector that begins with it."""
        cards = self._cards(hdu)
        common = common_part(hdu, cards, self.file_name, detector)
        draft = Draft(cards, self.file_name)
        draft.values, draft.origins = dict(common.values), dict(common.origins)
        self._place(draft, common.writer)
        if common.writer.last is not None:
            common.writer.last(draft)
        profile = self._profile(draft)
        if profile is not None:
            apply_profile(draft, profile)
        if common.unusable is not None:
            _make_unusable(draft, common.unusable)
        return _finished(draft, common.geometry)

    def _cards(self, hdu: HduHeader) -> Cards:
        if hdu.index == 0 or hdu.cards.get("INHERIT") is False:
            return hdu.cards
        return hdu.cards.inheriting(self.primary.cards)

    def _place(self, draft: Draft, writer: Writer) -> None:
        readers.read_temperature(draft, writer)
        readers.read_airmass(draft)
        profile = self._profile(draft)
        profile_site = profile.site if profile else None
        over = profile_site is not None
        read_site(draft, profile_site or self.site, over=over, west=writer.west)
        read_times(draft, self.now)
        read_night(draft)
        read_position(draft, writer.positions)
        readers.read_scale(draft)

    def _profile(self, draft: Draft) -> CameraProfile | None:
        if not self.profiles:
            return None
        telescope = draft.cards.text("TELESCOP").strip()
        return matching_profile(self.profiles, draft.values["instrument"], telescope)


def _make_unusable(draft: Draft, reason: str) -> None:
    draft.put("unusable", reason, "NAXIS", "its axes")
    if "colour" in reason:
        set_kind(draft, FrameKind.UNKNOWN, "NAXIS", "its axes", reason)
    elif not draft.get("level"):
        draft.put("level", 3, "NAXIS", "a spectrum without its second dimension")


def _finished(draft: Draft, geometry: Geometry) -> FrameInfo:
    amplifiers = _amplifiers(draft, geometry.amplifiers)
    draft.put("amplifiers", amplifiers, geometry.card, geometry.rule, geometry.doubt)
    draft.values["hdus"] = tuple(dict.fromkeys(a.hdu for a in amplifiers))
    return FrameInfo(**draft.values, origins=draft.origins)


def _amplifiers(draft: Draft, amplifiers: tuple[Amplifier, ...]) -> tuple[Amplifier, ...]:
    """Give every amplifier what is known of it: the profile's value, its own, the frame's."""
    known: dict[str, float] = {}
    settled: dict[str, float] = {}
    for name in _AMPLIFIER_FIELDS:
        value = draft.get(name)
        if value is None:
            continue
        by_profile = draft.origins[name].rule.startswith("camera profile")
        (settled if by_profile else known)[name] = value
    if len(amplifiers) > 1:
        _put_joint_values(draft, amplifiers, settled)
    if not known and not settled:
        return amplifiers
    return tuple(_filled(amplifier, known, settled) for amplifier in amplifiers)


def _put_joint_values(
    draft: Draft, amplifiers: tuple[Amplifier, ...], settled: dict[str, float]
) -> None:
    """Set what the frame has as a whole: mean gain and noise, the lowest saturation."""
    for name, rule in (
        ("gain_e_per_adu", "mean of its amplifiers"),
        ("read_noise_e", "mean of its amplifiers"),
        ("saturation_adu", "lowest of its amplifiers"),
    ):
        own = [value for a in amplifiers if (value := getattr(a, name)) is not None]
        if own and name not in settled:
            joint = min(own) if name == "saturation_adu" else sum(own) / len(own)
            draft.put(name, joint, "", rule)


def _filled(amplifier: Amplifier, known: dict[str, float], settled: dict[str, float]) -> Amplifier:
    def value(name: str, own: float | None) -> float | None:
        return settled.get(name, known.get(name) if own is None else own)

    return Amplifier(
        amplifier.hdu,
        amplifier.data,
        amplifier.overscan,
        amplifier.target,
        amplifier.flip_x,
        amplifier.flip_y,
        value("gain_e_per_adu", amplifier.gain_e_per_adu),
        value("read_noise_e", amplifier.read_noise_e),
        value("saturation_adu", amplifier.saturation_adu),
    )
