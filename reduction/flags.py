"""The one definition of every pixel flag bit."""

from enum import IntFlag


class PixelFlag(IntFlag):
    """Bits of an image's mask plane, written to the DQ extension and named in its header."""

    BAD = 1  # dead, hot or otherwise unusable in the bad-pixel map
    SATURATED = 2  # at or above the saturation level, or bled into
    COSMIC_RAY = 4  # hit by a particle
    TRAIL = 8  # crossed by a satellite or an aeroplane
    NO_DATA = 16  # no input pixel survived here
    INTERPOLATED = 32  # the value was filled in from its neighbours
    OBJECT = 64  # part of a source
    NONLINEAR = 128  # above the linear range of the detector
    EDGE = 256  # where the step's neighbourhood left the frame
