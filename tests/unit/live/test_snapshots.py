"""Snapshots on a topic: pieces that belong together, fences, slots, and what compaction may leave."""

import random

import orjson
import pytest

from streams.errors import StateError
from streams.live.snapshots import PIECE_BYTES, Fence, Snapshot, gather, pieces, tombstones

NOISE = random.Random(3).randbytes(PIECE_BYTES * 2 + 17)


FIRST = Fence(1, 5)


def shot(sequence: int = 1, fence: Fence = FIRST, state: bytes = b"state") -> Snapshot:
    return Snapshot(3, 4, fence, sequence, {"orders": 17, "clickstream": 23}, 9_000, state)


def records(*snapshots: Snapshot) -> list[tuple[bytes, bytes | None, int]]:
    return [(key, value, 1_000 + place) for place, one in enumerate(snapshots) for key, value in pieces(one)]


def compacted(log: list[tuple[bytes, bytes | None, int]]) -> list[tuple[bytes, bytes | None, int]]:
    last = {key: place for place, (key, _, _) in enumerate(log)}
    return [one for place, one in enumerate(log) if last[one[0]] == place]


def test_a_large_state_comes_back_from_pieces_below_the_record_limit() -> None:
    snapshot = shot(state=NOISE)
    told = records(snapshot)
    assert len(told) == 3
    assert max(len(value or b"") for _, value, _ in told) < 1_000_000
    assert gather(told).snapshot == snapshot


def test_the_highest_epoch_wins_then_generation_then_sequence() -> None:
    old, other, new = shot(9, Fence(1, 9)), shot(2, Fence(2, 1)), shot(1, Fence(2, 2))
    assert gather(records(new, other, old)).snapshot == new
    assert gather(records(shot(1), shot(2))).snapshot == shot(2)


def test_a_stale_worker_that_writes_last_does_not_win_and_epochs_grow_past_it() -> None:
    stored = gather(records(shot(1, Fence(2, 8)), shot(7, Fence(2, 7))))
    assert stored.snapshot == shot(1, Fence(2, 8))
    assert stored.epoch == 2


def test_a_crash_between_pieces_leaves_the_snapshot_before_also_after_compaction() -> None:
    log = records(shot(1, state=NOISE), shot(2, state=NOISE[::-1]))
    half = [*log, *records(shot(3, state=b"x" + NOISE))[:1]]
    assert gather(half).snapshot == shot(2, state=NOISE[::-1])
    assert gather(compacted(half)).snapshot == shot(2, state=NOISE[::-1])


def test_a_smaller_snapshot_is_not_mixed_with_pieces_of_a_larger_one_in_its_slot() -> None:
    log = records(shot(1, state=NOISE), shot(2, state=b"two"), shot(3, state=b"three"))
    assert gather(compacted(log)).snapshot == shot(3, state=b"three")


def test_removed_keys_are_gone_but_their_epoch_counts() -> None:
    log = records(shot(1, Fence(4, 1)))
    gone = [*log, *((key, None, 2_000) for key, _, _ in log)]
    stored = gather(gone)
    assert (stored.snapshot, stored.epoch, stored.keys) == (None, 4, set())


def test_tombstones_are_for_the_keys_of_other_fences_alone() -> None:
    stored = gather(records(shot(1, Fence(1, 5)), shot(2, Fence(2, 6))))
    assert tombstones(stored, Fence(2, 6)) == [b"3/1/5/1/0"]


def test_snapshots_written_before_a_rebuild_are_not_used_but_fenced_off() -> None:
    stored = gather(records(shot(1, Fence(6, 2))), written_since_ms=5_000)
    assert stored.snapshot is None
    assert stored.epoch == 6


def test_a_damaged_snapshot_is_passed_over_for_the_one_before() -> None:
    log = records(shot(1), shot(2))
    key, value, moment = log[1]
    assert value
    assert gather([log[0], (key, value[:-1] + b"!", moment)]).snapshot == shot(1)


def test_another_format_version_is_refused_with_a_way_out() -> None:
    [(key, value)] = pieces(shot())
    head, _, part = value.partition(b"\n")
    newer = orjson.dumps(orjson.loads(head) | {"version": 99}) + b"\n" + part
    with pytest.raises(StateError, match="--rebuild"):
        gather([(key, newer, 0)])
