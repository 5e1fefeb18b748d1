from app.wording import counted


def test_one_has_the_singular_everything_else_the_plural() -> None:
    assert [counted(n, "frame") for n in (0, 1, 2)] == ["0 frames", "1 frame", "2 frames"]
    assert counted(1, "dark of", "darks of") == "1 dark of"
    assert counted(2, "dark of", "darks of") == "2 darks of"
