"""Words that go with numbers."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: "1 frame", "2 frames"."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
