"""Numbers of the normal distribution, by which one measure of width tells another."""

from typing import Final

MAD_TO_SIGMA: Final = 1.4826022185056018  # standard deviation over median absolute deviation
