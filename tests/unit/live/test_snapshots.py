"""Snapshots on a topic: pieces and links that belong together, fences, slots, and what compaction may leave."""

import random
from collections.abc import Iterable

import msgspec
import pytest

from streams.errors import StateError
from streams.live.snapshots import PIECE_BYTES, Fence, Place, Shelf, Snapshot, Stored, Trace, gather, pieces

NOISE = random.Random(3).randbytes(PIECE_BYTES * 2 + 17)
FIRST = Fence(1, 5)

Records = list[tuple[bytes | None, bytes | None, int]]


def shot(sequence: int = 1, fence: Fence = FIRST, state: bytes = b"state", behind: int = 0) -> Snapshot:
    previous = Place(*fence, sequence - 1) if behind else None
    offsets = {"orders": 17, "clickstream": 23}
    return Snapshot(3, 4, Place(*fence, sequence), sequence % 2, offsets, 9_000, behind, previous, state)


def link(sequence: int, behind: int, fence: Fence = FIRST, state: bytes = b"state") -> Snapshot:
    """One of a chain, in a slot of its own."""
    return shot(sequence, fence, state, behind)._replace(slot=sequence)


def records(*snapshots: Snapshot) -> Records:
    return [(key, value, 1_000 + place) for place, one in enumerate(snapshots) for key, value in pieces(one)]


def compacted(log: Records) -> Records:
    last = {key: place for place, (key, _, _) in enumerate(log)}
    return [one for place, one in enumerate(log) if last[one[0]] == place]


class Writer:
    """A worker that saves links of these lengths, on a topic that is a list."""

    def __init__(self, log: Records, fence: Fence) -> None:
        stored = gather(log)
        stored.end = len(log)
        self.log, self.shelf = log, Shelf(stored, fence)
        self.last: Snapshot | None = None
        """The newest that it has made durable."""
        self.chain = [one.head.place for one in gather(log).links]

    def save(self, behind: int, *, size: int = 10, is_committed: bool = True, cut: int | None = None) -> None:
        place, slot, previous = self.shelf.next(behind)
        snapshot = Snapshot(3, 4, place, slot, {}, 0, behind, previous, f"{place}".encode() * size)
        told = list(pieces(snapshot, 150))
        self.shelf.expect(key for key, _ in told)
        self.log += [(key, value, 0) for key, value in told[:cut]]
        if cut is None:
            self.shelf.keep(snapshot, [key for key, _ in told], len(self.log))
            self.last = snapshot
            self.chain = [*self.chain[len(self.chain) - behind :], place]
            if is_committed:
                self.log += [(key, None, 0) for key in self.shelf.let_go()]

    def is_untouched(self) -> bool:
        """Whether nobody else has written, as a compacted topic tells it."""
        last = {key: offset for offset, (key, _, _) in enumerate(self.log)}
        traces = [Trace(offset, key, self.log[offset][1] is None) for key, offset in last.items()]
        return self.shelf.is_untouched(sorted(one for one in traces if one.offset >= self.shelf.known_to - 1))


def states(stored: Stored) -> Iterable[bytes]:
    return list(stored.states())


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
    assert (stored.snapshot, stored.epoch, stored.keys) == (None, 4, {})


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
    for version in (1, 99):
        other = msgspec.json.encode(msgspec.json.decode(head) | {"version": version}) + b"\n" + part
        with pytest.raises(StateError, match="--rebuild"):
            gather([(key, other, 0)])


@pytest.mark.parametrize("key", [None, b"", b"x", b"3/x/1/0/0", b"3/1/5/1", b"3/1/5/1/0/7"])
def test_what_others_wrote_to_the_topic_is_passed_over_and_left_alone(key: bytes | None) -> None:
    log = [*records(shot(1)), (key, b"hello", 0), (b"3/1/5/9/0", b"{", 0)]
    stored = gather(log)
    assert stored.snapshot == shot(1)
    assert key not in stored.keys


def test_a_link_comes_back_behind_those_that_it_needs() -> None:
    chain = [link(n, max(0, n - 2), state=f"{n}".encode()) for n in range(1, 6)]
    stored = gather(records(*chain))
    assert stored.snapshot == chain[-1]
    assert states(stored) == [b"2", b"3", b"4", b"5"]


def test_a_link_that_needs_one_that_is_missing_is_passed_over_for_the_one_before() -> None:
    log = records(*(link(n, n - 1) for n in range(1, 6)))
    assert gather([log[0], log[1], *log[3:]]).snapshot == link(2, 1)
    assert gather(log[1:]).snapshot is None


def test_a_crash_between_the_pieces_of_a_link_leaves_the_chain_before() -> None:
    writer = Writer([], FIRST)
    for behind in (0, 1, 2, 1):
        writer.save(behind)
    whole = gather(writer.log)
    for behind in (2, 0):
        for cut in (1, 2):
            broken = Writer(list(writer.log), Fence(2, 1))
            broken.save(behind, cut=cut)
            assert gather(compacted(broken.log)).links == whole.links


def test_a_small_state_goes_round_two_slots_and_removes_nothing() -> None:
    writer = Writer([], FIRST)
    for _ in range(7):
        writer.save(0)
    assert {key for key, _, _ in writer.log} == {key for key, _, _ in writer.log[-2 * len(writer.log) // 7 :]}
    assert all(value is not None for _, value, _ in writer.log)


def test_what_a_finished_turn_has_replaced_is_removed_one_link_later() -> None:
    writer = Writer([], FIRST)
    for behind in (0, 1, 2, 3, 4, 2, 3):
        writer.save(behind)
    stored = gather(writer.log)
    assert stored.snapshot == writer.last
    assert {place.sequence for place in stored.keys.values() if place} == {4, 5, 6, 7}
    writer.save(1)
    assert gather(compacted(writer.log)).snapshot == writer.last


def test_the_next_owner_goes_on_with_the_chain_of_the_last_and_clears_up_behind_it() -> None:
    first = Writer([], Fence(1, 5))
    for behind in (0, 1, 2):
        first.save(behind)
    second = Writer(first.log, Fence(2, 6))
    second.save(3)
    assert len(gather(second.log).links) == 4
    second.save(4)
    second.save(2)
    assert len(gather(second.log).links) == 3
    second.save(0)
    second.save(0)
    stored = gather(second.log)
    assert stored.snapshot == second.last
    assert {place.epoch for place in stored.keys.values() if place} == {2}


@pytest.mark.parametrize("links", [(3, 1, 0, 0, 1), (3, 4, 1, 2, 0, 0), (0, 0, 0, 0)])
def test_a_stale_worker_that_writes_on_breaks_no_link_that_the_next_owner_needs(links: tuple[int, ...]) -> None:
    stale = Writer([], Fence(1, 5))
    for behind in (0, 1, 2):
        stale.save(behind)
    owner = Writer(stale.log, Fence(2, 6))
    owner.save(3)
    for behind in links:
        stale.save(behind, is_committed=False)
        assert gather(compacted(stale.log)).snapshot == owner.last
    owner.save(4)
    assert gather(compacted(stale.log)).snapshot == owner.last
    assert len(gather(stale.log).links) == 5


def test_any_course_of_owners_stale_writers_and_crashes_leaves_the_newest_durable_state() -> None:
    for seed in range(150):
        rng = random.Random(seed)
        log: Records = []
        owner = Writer(log, FIRST)
        stale: list[Writer] = []
        for generation in range(6, 10):
            for _ in range(rng.randint(0, 6)):
                owner.save(any_behind(owner, rng), size=rng.randint(1, 9), is_committed=rng.random() < 0.8)
                if stale and rng.random() < 0.5:
                    late = rng.choice(stale)
                    late.save(any_behind(late, rng), is_committed=False, cut=rng.choice([None, 1]))
                found = gather(compacted(log)).snapshot
                assert found is not None
                assert found == owner.last
            if rng.random() < 0.5:
                owner.save(any_behind(owner, rng), cut=1, size=30)
            if rng.random() < 0.4 and owner.is_untouched():
                owner.shelf.renew(generation)
                owner.save(0)
                continue
            stale.append(owner)
            owner = Writer(log, Fence(gather(log).epoch + 1, generation))


def test_a_writer_that_finds_nobody_elses_writing_has_the_newest_state() -> None:
    found = set[bool]()
    for seed in range(300):
        rng = random.Random(seed)
        log: Records = []
        writers = [Writer(log, FIRST)]
        for generation in range(6, 11):
            owner = writers[-1]
            for _ in range(rng.randint(0, 4)):
                owner.save(any_behind(owner, rng), is_committed=rng.random() < 0.8, cut=rng.choice([None, None, 1]))
            for one in writers:
                if rng.random() < 0.3:  # frozen, and writing on: the group takes no commit from it
                    one.save(any_behind(one, rng), is_committed=one is owner)
            for one in writers:
                is_untouched = one.is_untouched()
                found.add(is_untouched)
                if is_untouched and one.last:
                    assert gather(compacted(log)).snapshot == one.last
            writers.append(Writer(log, Fence(gather(log).epoch + 1, generation)))
    assert found == {True, False}


def written(*behinds: int) -> Writer:
    writer = Writer([], FIRST)
    for behind in behinds:
        writer.save(behind)
    return writer


def test_what_a_writer_has_removed_of_others_and_what_is_none_of_ours_is_not_somebody_elses_writing() -> None:
    first = written(0, 1, 2)
    second = Writer(first.log, Fence(2, 6))
    for behind in (0, 0, 1):
        second.save(behind)
    first.log.append((b"judge/0/0", b"{}", 0))
    assert any(value is None for _, value, _ in first.log)
    assert second.is_untouched()
    assert not first.is_untouched()


def test_a_frozen_writer_is_not_deceived_by_what_it_has_written_itself_behind_the_next_owner() -> None:
    frozen = written(0, 1)
    Writer(frozen.log, Fence(2, 6)).save(2)
    frozen.save(2, is_committed=False)
    frozen.save(0, is_committed=False)
    assert not frozen.is_untouched()


def test_even_one_piece_of_another_writer_is_a_reason_to_load_again() -> None:
    for fence in (Fence(2, 6), Fence(1, 4), Fence(1, 6)):
        writer = written(0, 1)
        Writer(writer.log, fence).save(0, cut=1, size=90)
        assert not writer.is_untouched()


def test_a_topic_that_was_recreated_or_lacks_the_last_record_is_loaded_again() -> None:
    writer = written(0, 1)
    end = writer.shelf.known_to
    assert end == len(writer.log)
    assert not writer.shelf.is_untouched([])
    assert not writer.shelf.is_untouched([Trace(end, b"3/1/5/0/0", False)])
    assert writer.shelf.is_untouched([Trace(end - 1, b"3/1/5/0/0", False)])
    assert Shelf(Stored(), FIRST).is_untouched([])


def test_a_writer_that_goes_on_in_another_generation_is_above_who_loaded_the_same_state() -> None:
    writer = written(0, 1, 2)
    other = Writer(list(writer.log), Fence(gather(writer.log).epoch + 1, 6))
    writer.shelf.renew(7)
    assert writer.is_untouched()
    writer.save(1)
    other.log = writer.log
    other.save(0, is_committed=False)
    assert gather(compacted(writer.log)).snapshot == writer.last
    assert {place.epoch for place in gather(writer.log).keys.values() if place} == {1, 2}


def test_what_a_broken_save_has_left_is_removed_with_the_next_commit() -> None:
    writer = written(0)
    writer.save(0, cut=2, size=90)
    writer.shelf.renew(6)
    writer.save(0)
    assert {place.sequence for place in gather(writer.log).keys.values() if place} == {1, 3}


def any_behind(writer: Writer, rng: random.Random) -> int:
    """Nothing before it, or all of the chain, or a part of that."""
    length = len(writer.chain)
    return rng.choice([0, length, rng.randint(0, length)])
