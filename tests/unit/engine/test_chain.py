"""Links of a chain: what changed is in the next one, what did not comes round, what is missing is refused."""

from collections.abc import Callable

import pytest

from streams.engine import Engine, EngineSpec
from streams.engine.chain import Checkpoint, Pace
from streams.errors import StateError
from tests.support.chains import known
from tests.support.stories import story, to_lines
from tests.unit.engine.telling import batch, file_spec

SHOPPERS, ORDERS = 60, 20
SHORT = {"session_gap_ms": 1_800_000, "abandonment_timeout_ms": 600_000, "order_memory_ms": 7_200_000}
OPENING = " | ".join(
    f"s{n}: page+{n}s cart+{n + 60}s"
    + f" order+{n + 70}s[order_id=o{n}] attempt+{n + 80}s[order_id=o{n},payment_id=p{n},payment_method=m{n % 3}]"
    * (n < ORDERS)
    for n in range(SHOPPERS)
)


class Log:
    """An engine fed by stories, one after the other."""

    def __init__(self, pace: Pace, opening: str = OPENING, **changes: object) -> None:
        self.spec: EngineSpec = file_spec(**{**SHORT, **changes})
        self.engine, self.pace, self.lines = Engine(self.spec, 0), pace, list[bytes]()
        self.engine.chain.pace = pace
        self.links: list[bytes] = []
        self.tell(opening)

    def tell(self, text: str) -> None:
        lines = to_lines([{**event, "event_id": f"{len(self.lines)}-{n}"} for n, event in enumerate(story(text))])
        self.engine.push(batch(lines, len(self.lines)))
        self.lines += lines
        self.engine.drain()

    def save(self) -> Checkpoint:
        checkpoint = self.engine.checkpoint()
        self.links = [*self.links[len(self.links) - checkpoint.behind :], checkpoint.data]
        return checkpoint

    def restored(self) -> Engine:
        return Engine.restore_chain(self.spec, 0, self.links)


SLOW = Pace(entries=2, size=16)


@pytest.mark.parametrize(
    "more",
    [
        "s3: page+200s | s9: view+200s | t: page+205s",
        "s3: cart+200s | s5: paid+200s[order_id=o5] | t: page+205s",
        "s4: remove+200s | t: page+205s",
        "u: success+200s[order_id=o7,payment_id=p7] | s8: cancel+200s[order_id=o8] | t: page+205s",
        "t: page+200s cart+200s page+13m",
        "s5: paid+200s[order_id=o5] | t: page+14m",
        "t: page+20m page+33m",
        "s7: success+200s[order_id=o7,payment_id=p7] | s9: fail+200s[payment_id=p9] | t: page+205s",
    ],
    ids=["browsing", "carts", "emptied", "orders", "idle", "kept", "ended", "payments"],
)
def test_whatever_changes_between_two_links_is_in_the_second(more: str) -> None:
    log = Log(SLOW)
    log.save()
    log.tell(more)
    assert log.save().behind > 0
    assert known(log.links, log.spec) == known([log.engine.snapshot()], log.spec)


@pytest.mark.parametrize("told", ["", "[visitor_id=v]"])
def test_who_goes_on_in_the_same_minute_is_in_the_next_link_too(told: str) -> None:
    log = Log(SLOW)
    log.save()
    for at in (200, 210, 220):
        log.tell(f"s3: page+{at}s{told} | t: page+{at + 6}s{told}")
        assert log.save().behind > 0
        assert known(log.links, log.spec) == known([log.engine.snapshot()], log.spec)


def test_what_is_forgotten_is_in_the_next_link() -> None:
    log = Log(SLOW, order_memory_ms=1_800_000, session_gap_ms=36_000_000)
    log.tell("t: page+20m")
    log.save()
    log.tell("t: page+2h page+3h")
    assert log.save().behind > 0
    assert known(log.links, log.spec) == known([log.engine.snapshot()], log.spec)


def test_numbers_of_corrections_are_in_the_next_link_until_nothing_can_correct_any_more() -> None:
    log = Log(SLOW, session_gap_ms=36_000_000)
    log.tell("t: page+40m")
    log.save()
    log.tell("s7: view+20m | s8: view+21m")
    log.tell("t: page+45m")
    for later in ("t: page+46m", "s7: cart+21m", "t: page+47m", "t: page+5h", "t: page+6h"):
        assert log.save().behind > 0
        assert known(log.links, log.spec) == known([log.engine.snapshot()], log.spec)
        log.tell(later)
    assert not log.engine._shop.ledger.numbers


@pytest.mark.parametrize("at_once", [1, 4_000])
def test_what_changes_after_a_part_was_prepared_counts_for_more(at_once: int) -> None:
    log = Log(Pace(entries=500, size=1, at_once=at_once))
    log.save()
    log.tell("t: page+13m")
    for more in ("s3: page+13m1s", "s4: remove+13m2s", "s5: paid+13m3s[order_id=o5]"):
        log.engine.prepare()
        log.tell(more)
    while log.engine.prepare():
        pass
    log.tell("s6: page+13m4s view+13m4s | s7: success+13m5s[order_id=o7,payment_id=p7]")
    log.save()
    assert known(log.links, log.spec) == known([log.engine.snapshot()], log.spec)


@pytest.mark.parametrize("later", ["t: page+13m3s", "t: page+13m7s", "s3: view+13m2s | t: page+13m6s", "t: page+14m"])
def test_what_waited_when_it_was_told_and_was_counted_since_does_not_wait_any_more(later: str) -> None:
    log = Log(Pace(entries=500, size=1, at_once=2))
    log.save()
    log.tell(" | ".join(f"s{n}: page+13m{n % 3}s view+13m{n % 3}s" for n in range(9)))
    while log.engine.prepare():
        pass
    log.tell(later)
    log.save()
    waiting = log.engine.counts["held"]
    again = log.restored()
    assert again.counts["held"] == waiting
    first = again.resume_offsets["file"]
    again.push(batch(log.lines[first:], first))
    rows = again.drain().rows + again.finish().rows
    assert rows == log.engine.finish().rows


@pytest.mark.parametrize("links", [0, 3], ids=["new", "uncertain"])
def test_a_whole_link_is_written_little_by_little_and_misses_nothing_that_happens_meanwhile(links: int) -> None:
    log = Log(Pace(entries=2, size=16, at_once=3))
    for _ in range(links):
        log.save()
    later = ("s3: page+13m1s", "s4: remove+13m2s", "s5: paid+13m3s[order_id=o5]", "u: page+13m4s", "t: page+14m6s")
    told = 0
    while log.engine.prepare(whole=True):
        if told % 9 == 0:
            log.tell(later[told // 9 % len(later)])
        told += 1
    assert told > 50
    checkpoint = log.engine.checkpoint(whole=True)
    assert checkpoint.behind == 0
    assert known([checkpoint.data], log.spec) == known([log.engine.snapshot()], log.spec)
    log.links = [checkpoint.data]
    log.tell("s9: view+14m7s | t: page+14m9s")
    assert log.save().behind == 1
    assert known(log.links, log.spec) == known([log.engine.snapshot()], log.spec)


def test_a_small_state_is_whole_in_each_link() -> None:
    log = Log(Pace())
    assert [log.save().behind for _ in range(3)] == [0, 0, 0]


def test_a_large_state_comes_round_a_part_at_a_time_and_old_links_are_let_go() -> None:
    log = Log(Pace(entries=20, size=1_000))
    behind = [log.save().behind for _ in range(60)]
    assert behind[0] == 0
    assert 3 < max(behind) < 40
    assert min(behind[20:]) > 3
    sizes = [len(link) for link in log.links]
    assert max(sizes) < len(log.engine.snapshot()) / 2
    assert known(log.links, log.spec) == known([log.engine.snapshot()], log.spec)


def test_the_next_owner_goes_on_with_the_chain_and_writes_nothing_twice() -> None:
    log = Log(SLOW)
    for _ in range(5):
        log.save()
    log.engine = log.restored()
    log.engine.chain.pace = SLOW
    log.engine.push(batch(log.lines[log.engine.resume_offsets["file"] :], log.engine.resume_offsets["file"]))
    log.engine.drain()
    log.tell("s3: page+200s | t: page+206s")
    assert log.save().behind == 5
    assert known(log.links, log.spec) == known([log.engine.snapshot()], log.spec)


def test_a_link_that_must_be_whole_needs_none_before_it() -> None:
    log = Log(SLOW)
    log.save()
    log.save()
    checkpoint = log.engine.checkpoint(whole=True)
    assert checkpoint.behind == 0
    assert known([checkpoint.data], log.spec) == known([log.engine.snapshot()], log.spec)


@pytest.mark.parametrize(
    "gone",
    [
        lambda links: links[1:],
        lambda links: links[:2] + links[3:],
        lambda links: [*links[:2], links[1], *links[3:]],
        lambda links: [links[0], *links[:2], *links[3:]],
        lambda links: [],
    ],
    ids=["first", "middle", "another twice", "moved up", "all"],
)
def test_a_chain_with_a_link_missing_is_refused(gone: Callable[[list[bytes]], list[bytes]]) -> None:
    log = Log(SLOW)
    for number in range(5):
        log.save()
        log.tell(f"s1: page+{150 + 7 * number}s view+{150 + 7 * number}s")
    with pytest.raises(StateError):
        Engine.restore_chain(log.spec, 0, gone(log.links))


def test_changes_are_let_go_once_they_are_in_a_link() -> None:
    log = Log(SLOW)
    log.save()
    log.tell("t: page+200s | s3: page+200s")
    log.save()
    assert not any(store.touched for store in log.engine._shop.stores())


def test_changes_that_no_checkpoint_asks_for_are_let_go_at_the_next_closing() -> None:
    log = Log(SLOW)
    log.tell("t: page+200s page+6m page+7m")
    assert sum(len(store.touched) for store in log.engine._shop.stores()) < 10
