"""What products lack, in few words."""

import pytest

from app.services import shortfalls


@pytest.mark.parametrize(
    ("sentences", "words"),
    [
        ([], ()),
        (["no flat in band B: the responses differ (no flat in B)", "no bias: x"],
         ("no bias", "no flat")),
        (["dark not applied: the header gives no exposure time"], ("no dark",)),
        (["no fringe frame: x", "no dark: y"], ("no dark", "no fringe frame")),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_without_its_reasons(
    sentences: list[str], words: tuple[str, ...]
) -> None:
    assert shortfalls.short(sentences) == words
