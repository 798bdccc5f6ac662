"""Laws of checkpoints: any chain of links, broken off and gone on with anywhere, changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.engine.chain import Pace
from streams.engine.engine import Engine
from streams.engine.rows import encode_row
from tests.invariants.driving import Driver, Told, run
from tests.support.chains import known
from tests.support.strategies import Scenario, scenarios

lawful = settings(
    max_examples=40, derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
seeds = st.integers(0, 2**32)
paces = st.builds(
    Pace, st.integers(1, 5), st.sampled_from([1, 16, 100]), st.integers(2, 12), st.sampled_from([1, 2, 4_000])
)


class Worker:
    """Drives an engine, keeps its links as a topic would, and begins anew from them as the next owner would."""

    def __init__(self, scenario: Scenario, rng: Random, pace: Pace) -> None:
        self.driver, self._rng, self._pace = Driver(scenario, rng), rng, pace
        self.driver.engine.chain.pace = pace
        self.links: list[bytes] = []
        """Those that a restore needs."""
        self.longest = 0
        self._told = (0, 0, 0)
        self._is_certain = True

    def save(self) -> None:
        """A checkpoint; sometimes it is not certain that it was kept, and sometimes it was not."""
        checkpoint = self.driver.engine.checkpoint(whole=not self._is_certain)
        self._is_certain = self._rng.random() < 0.9
        if not self._is_certain and self._rng.random() < 0.5:
            return
        assert checkpoint.behind <= len(self.links)
        self.links = [*self.links[len(self.links) - checkpoint.behind :], checkpoint.data]
        self.longest = max(self.longest, len(self.links))
        told = self.driver.told
        self._told = len(told.rows), len(told.rejects), told.records

    def crash(self) -> None:
        """What was told since the last link that was kept is told again by the next owner."""
        driver, told = self.driver, self.driver.told
        driver.engine = Engine.restore_chain(driver.spec, driver.engine.partition, self.links)
        driver.engine.chain.pace = self._pace
        self._is_certain = True
        rows, rejects, told.records = self._told
        del told.rows[rows:], told.rejects[rejects:]
        for topic, records in driver.pushed.items():
            start = driver.engine.resume_offsets.get(topic, 0)
            driver.push(topic, [record for record in records if record.offset >= start])
        told.hear(driver.engine.drain())

    def work(self) -> Told:
        for _ in self.driver.pieces():
            for _ in range(self._rng.choice([0, 0, 1, 1, 50])):
                self.driver.engine.prepare()
            if self._rng.random() < 0.6:
                self.save()
            if self.links and self._rng.random() < 0.1:
                self.crash()
        return self.driver.finish()


@contextmanager
def crowded_at(leaves: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.engine.shop.CROWDED", leaves)
        yield


def assert_equal(told: Told, straight: Told) -> None:
    assert [encode_row(row) for row in told.rows] == [encode_row(row) for row in straight.rows]
    assert told.rejects == straight.rejects


@lawful
@given(scenarios(), seeds, paces)
def test_links_cut_and_broken_off_anywhere_and_the_rest_is_as_if_never_stopped(
    scenario: Scenario, seed: int, pace: Pace
) -> None:
    assert_equal(Worker(scenario, Random(seed), pace).work(), run(scenario))


@lawful
@given(scenarios(), seeds, paces)
def test_leaves_that_are_dropped_and_their_numbers_used_again_change_nothing(
    scenario: Scenario, seed: int, pace: Pace
) -> None:
    straight = run(scenario)
    with crowded_at(2):
        worker = Worker(scenario, Random(seed), pace)
        assert_equal(worker.work(), straight)


@lawful
@given(scenarios(), seeds, paces)
def test_the_state_of_a_chain_is_that_of_a_whole_snapshot(scenario: Scenario, seed: int, pace: Pace) -> None:
    rng = Random(seed)
    driver = Driver(scenario, rng)
    driver.engine.chain.pace = pace
    links: list[bytes] = []
    for _ in driver.pieces():
        whole = driver.engine.snapshot()
        if rng.random() < 0.5:
            driver.engine.prepare()
            continue
        checkpoint = driver.engine.checkpoint()
        links = [*links[len(links) - checkpoint.behind :], checkpoint.data]
        assert known(links, driver.spec) == known([whole], driver.spec)


@lawful
@given(scenarios(), seeds, paces)
def test_no_chain_is_longer_than_it_may_be_however_often_it_begins_anew(
    scenario: Scenario, seed: int, pace: Pace
) -> None:
    worker = Worker(scenario, Random(seed), pace)
    worker.work()
    assert worker.longest <= pace.longest
