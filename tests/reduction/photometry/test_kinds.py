"""Kinds of sources are told by a word."""

import numpy as np

from reduction.photometry.kinds import words_of


def test_kinds_have_words_and_what_is_not_known_has_none() -> None:
    assert words_of(np.arange(5, dtype=np.uint8)) == [None, "star", "galaxy", "hit", "trail"]
    assert words_of(np.array([1.0, np.nan], np.float32)) == ["star", None]
