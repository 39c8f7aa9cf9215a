"""What leaves now: batches to the brim, both endpoints to both limits, singles where they are quicker."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tasks.config import RateLimit
from tasks.providers.base import Offer
from tasks.routing import Endpoint, EndpointView, Pace, Packing, ProviderView, StartLog, Waiting, Work, pack
from tests.tasks.routing.factories import MASK, REMOVAL, REPLACE, maskr, offering, provider, waiting

NOW = 0.0


def packed(rows: list[Waiting], view: ProviderView, *, more_coming: bool = False, **given: object) -> Packing:
    return pack(rows, view, **({"now": NOW, "more_coming": more_coming, "linger_s": 2.0} | given))


def sizes(packing: Packing) -> tuple[list[int], int]:
    """Sizes of the batches, and the number of singles."""
    batches = [len(send.item_ids) for send in packing.sends if send.endpoint is Endpoint.BATCH]
    return batches, sum(send.endpoint is Endpoint.SINGLE for send in packing.sends)


def test_both_endpoints_are_used_up_to_both_limits() -> None:
    packing = packed(waiting(3000), maskr(), more_coming=True)

    assert sizes(packing) == ([50] * 30, 60)
    assert packing.wake_at == 60.0


def test_a_small_remainder_goes_singly_when_that_is_quicker() -> None:
    assert sizes(packed(waiting(110), maskr())) == ([50, 50], 10)


def test_a_small_remainder_goes_as_a_batch_when_singles_are_slow() -> None:
    assert sizes(packed(waiting(60), maskr(limits=("1/min",)))) == ([50, 10], 0)


def test_a_large_remainder_is_a_batch() -> None:
    assert sizes(packed(waiting(45), maskr())) == ([45], 0)


def test_a_remainder_waits_for_company_a_bounded_time() -> None:
    rows = waiting(45, since=0.0)

    early = packed(rows, maskr(), more_coming=True, now=1.0)
    assert (early.sends, early.wake_at) == ((), 2.0)
    assert sizes(packed(rows, maskr(), more_coming=True, now=2.0)) == ([45], 0)


def test_waiting_for_company_is_for_those_that_may_get_some() -> None:
    assert sizes(packed(waiting(3), provider(limits=("60/min",)), more_coming=True)) == ([], 3)


def test_without_a_batch_ticket_waiting_rows_use_the_single_endpoint() -> None:
    empty = StartLog([RateLimit.parse("1/min")])
    empty.started(-10.0)
    view = maskr(limits=("20/min",))
    view = ProviderView(
        key="maskr",
        capabilities=view.capabilities,
        single=view.single,
        batch=EndpointView(pace=empty.pace(NOW), latency_s=30),
    )
    packing = packed(waiting(120), view)

    assert sizes(packing) == ([], 20)
    assert packing.wake_at == 50.0


def test_singles_do_not_take_the_places_in_flight_that_batches_need() -> None:
    packing = packed(waiting(500), maskr(batch_limits=("6/min",), max_in_flight=4, batch_latency_s=60))

    assert sizes(packing) == ([50] * 4, 0)
    busy = packed(waiting(500), maskr(batch_limits=("1/min",), max_in_flight=4, batch_latency_s=60))
    assert sizes(busy) == ([50], 3)


def test_what_goes_ahead_alone_is_one_row_and_the_others_wait() -> None:
    assert sizes(packed(waiting(200), maskr(), most=1)) == ([], 1)
    assert sizes(packed(waiting(200), maskr(), most=0)) == ([], 0)


def test_rows_that_cannot_share_a_batch_do_not() -> None:
    boxes = frozenset({"box"})
    offers = (
        Offer(operation=REMOVAL, selectors=(MASK, boxes), batch_selectors=(MASK, boxes)),
        offering("mask", batch=True, operation=REPLACE),
    )
    view = maskr(offers=offers, limits=("1/h",))
    rows = waiting(30) + waiting(30, selectors=boxes) + waiting(30, operation=REPLACE)
    rows = [
        Waiting(
            work=Work(
                item_id=f"{row.work.operation}-{sorted(row.work.selectors)}-{n}",
                operation=row.work.operation,
                selectors=row.work.selectors,
            ),
            since=0.0,
        )
        for n, row in enumerate(rows)
    ]
    packing = packed(rows, view)

    assert sizes(packing) == ([30, 30, 30], 0)
    assert all(len({item_id.rsplit("-", 1)[0] for item_id in send.item_ids}) == 1 for send in packing.sends)


def test_a_batch_is_full_by_bytes_too() -> None:
    rows = waiting(100, bytes=10_000_000)

    assert sizes(packed(rows, maskr(limits=("1/h",)), max_batch_bytes=200_000_000)) == ([20] * 5, 0)
    giant = packed(waiting(1, bytes=300_000_000), maskr(), max_batch_bytes=200_000_000)
    assert sizes(giant) == ([], 1)


def test_nothing_waiting_asks_for_no_waking() -> None:
    assert packed([], maskr(), more_coming=True) == Packing()


@given(
    count=st.integers(0, 400),
    singles=st.integers(0, 80),
    batches=st.integers(0, 8),
    places=st.none() | st.integers(1, 10),
    more_coming=st.booleans(),
    now=st.floats(0, 5),
)
def test_no_row_is_lost_doubled_or_let_through_beyond_a_limit(
    count: int, singles: int, batches: int, places: int | None, more_coming: bool, now: float
) -> None:
    """And whatever stays behind has a time to be asked again, unless only a place in flight is missing."""

    def used(limit: str, left: int) -> Pace:
        rule = RateLimit.parse(limit)
        log = StartLog([rule])
        for _ in range(rule.amount - left):
            log.started(now)
        return log.pace(now)

    view = maskr(max_in_flight=places)
    view = ProviderView(
        key="maskr",
        capabilities=view.capabilities,
        single=EndpointView(pace=used("80/min", singles), latency_s=4),
        batch=EndpointView(pace=used("8/min", batches), latency_s=30),
        max_in_flight=places,
    )
    packing = packed(waiting(count), view, more_coming=more_coming, now=now)
    sent = Counter(item_id for send in packing.sends for item_id in send.item_ids)
    used_batches, used_singles = sizes(packing)

    assert set(sent.values()) <= {1}
    assert set(sent) <= {str(n) for n in range(count)}
    assert used_singles <= singles
    assert len(used_batches) <= batches
    assert all(1 <= size <= 50 for size in used_batches)
    assert places is None or len(packing.sends) <= places
    if len(sent) < count and (places is None or len(packing.sends) < places):
        assert packing.wake_at is not None
        assert packing.wake_at > now
