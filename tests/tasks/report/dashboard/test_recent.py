"""A small memory: what is at hand is not worked out again, not even twice at once."""

import threading

import pytest

from tasks.report.dashboard.recent import Recent


def test_two_who_ask_at_once_wait_for_one_answer() -> None:
    memory: Recent[str, int] = Recent(4)
    begun, may_end, asked = threading.Event(), threading.Event(), []

    def work() -> int:
        asked.append(1)
        begun.set()
        may_end.wait(10)
        return 7

    answers: list[int] = []
    first = threading.Thread(target=lambda: answers.append(memory.get("a", work)))
    first.start()
    begun.wait(10)
    second = threading.Thread(target=lambda: answers.append(memory.get("a", work)))
    second.start()
    may_end.set()
    first.join(10)
    second.join(10)

    assert answers == [7, 7]
    assert len(asked) == 1


def test_work_that_fails_is_tried_again() -> None:
    memory: Recent[str, int] = Recent(4)

    def fails() -> int:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        memory.get("a", fails)
    assert memory.get("a", lambda: 1) == 1


def test_what_was_not_asked_for_longest_makes_room() -> None:
    memory: Recent[str, int] = Recent(2)
    for key in ("a", "b"):
        memory.get(key, lambda: 1)
    memory.get("a", lambda: 1)
    memory.get("c", lambda: 1)

    assert memory.get("a", lambda: 2) == 1
    assert memory.get("b", lambda: 2) == 2


def test_what_is_forgotten_is_worked_out_anew() -> None:
    memory: Recent[str, int] = Recent(2)
    memory.keep("a", 1)
    memory.forget("a")

    assert memory.get("a", lambda: 2) == 2
