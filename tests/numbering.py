"""Numbers of the frames that tests make, begun anew with each application of a test.

Times, names and noise follow from them: a test must get the same whatever tests ran before it.
"""

from collections import Counter

_given: Counter[str] = Counter()


def begin_anew() -> None:
    """Forget the numbers that were given."""
    _given.clear()


def number(of: str) -> int:
    """Return the next number of frames of some sort: 1, 2, ..."""
    _given[of] += 1
    return _given[of]
