"""What is known of each amplifier: from its own cards, the frame's, and the camera profile."""

from reduction.camera import Amplifier
from reduction.headers.draft import Draft
from reduction.headers.sections import Geometry

_FIELDS = ("gain_e_per_adu", "read_noise_e", "saturation_adu")


def put_amplifiers(draft: Draft, geometry: Geometry) -> None:
    """Set amplifiers and HDUs, and what follows from the amplifiers for the frame as a whole.

    Parameters
    ----------
    draft : Draft
        Its gain, read noise and saturation are settled.
    geometry : Geometry
        Where the amplifiers lie, with what their own cards say.
    """
    amplifiers = _amplifiers(draft, geometry.amplifiers)
    draft.put("amplifiers", amplifiers, geometry.card, geometry.rule, geometry.doubt)
    draft.values["hdus"] = tuple(dict.fromkeys(a.hdu for a in amplifiers))


def _amplifiers(draft: Draft, amplifiers: tuple[Amplifier, ...]) -> tuple[Amplifier, ...]:
    """Give every amplifier what is known of it: the profile's value, its own, the frame's."""
    known: dict[str, float] = {}
    settled: dict[str, float] = {}
    for name in _FIELDS:
        value = draft.get(name)
        if value is None:
            continue
        by_profile = draft.notes[name][1].startswith("camera profile")
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
