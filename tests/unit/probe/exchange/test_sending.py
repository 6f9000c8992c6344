"""What is sent again, in which size, and what an acknowledgement says about a full-size segment."""

from __future__ import annotations

from ferryman.probe.exchange.sending import FULL_TRIES, SMALL, SMALL_TRIES, Sending
from ferryman.probe.exchange.timer import RetransmissionTimer

FULL = 1440


def after_the_small_one(*lengths: int) -> tuple[Sending, float]:
    """A connection that has had 100 bytes acknowledged and has sent these, of which nothing is heard."""
    sending = Sending(RetransmissionTimer(0.2))
    sending.full = FULL
    sending.opened(60_000)
    sending.write(bytes(100))
    for length in lengths:
        sending.write(bytes(length))
    sending.due(0.0)
    sending.acknowledge(101, 0.001, 0.001, is_duplicate=False)
    return sending, 0.001


def expired(sending: Sending) -> tuple[float, int]:
    """Wait for the timer; the time, and the length of what is sent then."""
    at = sending.expires_at
    assert at is not None
    chunk = sending.expired(at)
    return at, len(chunk.data) if chunk is not None else 0


def test_the_first_segment_of_a_connection_is_a_small_one() -> None:
    sending = Sending(RetransmissionTimer(0.2))
    sending.full = FULL
    sending.opened(60_000)
    sending.write(bytes(2000))
    assert [len(chunk.data) for chunk in sending.due(0.0)] == [SMALL, FULL, 2000 - SMALL - FULL]


def test_a_full_size_segment_that_is_not_acknowledged_is_tried_again_and_then_sent_in_small_ones() -> None:
    sending, _ = after_the_small_one(FULL)
    assert [expired(sending)[1] for _ in range(FULL_TRIES)] == [FULL] * (FULL_TRIES - 1) + [SMALL]
    assert sending.due(9.0) == [], "the other pieces wait for the first"


def test_small_pieces_that_are_acknowledged_one_by_one_show_that_the_size_was_lost() -> None:
    sending, _ = after_the_small_one(FULL)
    for _ in range(FULL_TRIES):
        now, _ = expired(sending)
    for end in (SMALL, 2 * SMALL, FULL):
        sending.acknowledge(101 + end, now, now, is_duplicate=False)
        sending.due(now)
    assert (sending.is_size_lost, sending.largest) == (True, SMALL)
    assert sending.is_everything_acknowledged


def test_a_first_piece_that_acknowledges_them_all_shows_that_the_full_size_segment_had_arrived() -> None:
    sending, _ = after_the_small_one(FULL)
    for _ in range(FULL_TRIES):
        now, _ = expired(sending)
    sending.acknowledge(101 + FULL, now, now, is_duplicate=False)
    assert sending.largest == FULL


def test_after_two_lost_sizes_everything_goes_in_small_segments() -> None:
    sending, now = after_the_small_one(FULL, FULL, FULL)
    while (left := sending.end - sending.acknowledged) > FULL:
        now, length = expired(sending)
        if length <= SMALL:
            sending.acknowledge(sending.acknowledged + length, now, now, is_duplicate=False)
            sending.due(now)
    assert left <= FULL
    sending.write(bytes(FULL))
    now, length = expired(sending)
    assert length <= SMALL
    assert sending.failed_full == 2


def test_a_small_segment_that_is_never_acknowledged_is_given_up_without_a_word_about_sizes() -> None:
    sending, _ = after_the_small_one(100)
    lengths = [expired(sending)[1] for _ in range(SMALL_TRIES)]
    assert lengths == [100] * (SMALL_TRIES - 1) + [0]
    assert (sending.gave_up, sending.is_size_lost, sending.expires_at) == (True, False, None)


def test_no_round_trip_is_measured_from_what_was_sent_twice() -> None:
    sending, _ = after_the_small_one(100)
    now, _ = expired(sending)
    sending.acknowledge(201, now + 50, now + 50, is_duplicate=False)
    sending.write(bytes(100))
    sending.due(now + 50)
    again = sending.expires_at
    assert again is not None
    assert again - (now + 50) < 1, "fifty seconds were no round trip (Karn)"
