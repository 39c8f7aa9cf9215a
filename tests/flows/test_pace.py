from flows.pace import Pace


def test_time_left_goes_by_the_last_five_minutes() -> None:
    """A slow start, then ten rows a second."""
    pace = Pace()
    pace.left_s(0, 0, 10_000)
    for second in range(600, 915, 15):
        left_s = pace.left_s(second, 10 * (second - 600), 10_000)

    assert left_s == (10_000 - 3_000) / 10


def test_no_time_is_told_while_nothing_moves() -> None:
    pace = Pace()

    assert pace.left_s(0, 5, 10) is None
    assert pace.left_s(15, 5, 10) is None
