"""Workers that are killed, frozen, stopped, joined and cut off from their broker, and rows that stay the same.

    python -m tests.faults.soak [--seed 1] [--faults 24 | --long] [--broker kafka|embedded] [--table soak.md]

The faults follow from the seed; they come in rounds and overlap. All the while a simulated shop writes, and an
onlooker reads what the workers write. After each round, when all is quiet, every row on the topic is compared with one
engine a partition that took the same records undisturbed, every dead letter with the poison that was written, every
merged row and every verdict with one judge that was never disturbed. At the end an independent reference counts all.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from streams.broker import embedded_broker, free_port
from streams.live.checkpoint import STEPS
from tests.faults.crew import Crew
from tests.faults.judgement import Calm, judged, unlike
from tests.faults.onlooker import Onlooker, Twins
from tests.faults.scraper import Scraper, partitions_told
from tests.faults.shopkeeper import Shopkeeper, calm_shop
from tests.support.kafka.native import NativeKafka
from tests.support.live import set_up_topics, settings_of, until
from tests.support.proxy import Proxy

SESSION_SECONDS = 3.0
SPEED = 120.0
"""Two minutes of the shop pass in a second."""
SESSIONS_PER_MINUTE = 20.0
DOORS = 5
DAY_MS = 86_400_000
ROUND = 10
DIMENSIONS = {"session_dimensions": ["channel", "device"], "payment_dimensions": ["payment_method"]}

LONG = {
    "kill -9": 85,
    "kill during a checkpoint": 36,
    "freeze past the session": 20,
    "broker restart": 20,
    "SIGTERM": 20,
    "join": 20,
    "connections cut": 12,
    "connections hang": 12,
    "all connections cut": 4,
    "all connections hang": 4,
    "silent partition": 6,
}
"""How often each fault comes in the long form."""


class Soak:
    """One run: a broker, a shop, workers, and all who look on."""

    def __init__(self, bootstrap: str, kafka: NativeKafka | None, doors: Sequence[Proxy], seed: int) -> None:
        told = {
            "bootstrap": bootstrap,
            "name": f"soak{seed}-{int(time.time())}",
            "session_timeout": SESSION_SECONDS,
            "engine": DIMENSIONS,
            # Small pieces and many steps: a state is a long chain here, of several owners, however small it is.
            "piece_bytes": 700,
            "pace": [30, 2_000, 12],
        }
        self.settings = settings_of(told)
        self.partitions = set_up_topics(self.settings)
        self._kafka, self._doors, self._chance = kafka, doors, random.Random(seed)
        # Brokers refuse times of tomorrow, and retention counts from today.
        start_ms = (time.time_ns() // 1_000_000 // DAY_MS - 3) * DAY_MS
        shop = calm_shop(self.settings, seed, SESSIONS_PER_MINUTE)
        self.shop = Shopkeeper(self.settings, shop, start_ms, SPEED, self.partitions)
        self.onlooker = Onlooker(self.settings, self.partitions)
        self.twins = Twins(self.settings, self.onlooker, self.partitions)
        self.calm = Calm(self.settings, self.partitions)
        self._told_rows = 0
        self.crew = Crew(told, doors, self._chance)
        self.scraper = Scraper(lambda: [one for one in self.crew.workers if one not in self.crew.still])
        self._later: list[tuple[float, Callable[[], None]]] = []
        self.findings: list[str] = []
        self.happened: Counter[str] = Counter()
        self.faults: dict[str, Callable[[], None]] = {
            "kill -9": self.crew.kill,
            "SIGTERM": self.crew.terminate,
            "freeze past the session": self.freeze,
            "join": self.join,
            "kill during a checkpoint": self.kill_in_checkpoint,
            "silent partition": self.silence,
        }
        if doors:
            self.faults |= {
                "connections cut": lambda: self.shut(Proxy.cut, alone=True),
                "connections hang": lambda: self.shut(Proxy.hang, alone=True),
                "all connections cut": lambda: self.shut(Proxy.cut, alone=False),
                "all connections hang": lambda: self.shut(Proxy.hang, alone=False),
            }
        if kafka is not None:
            self.faults["broker restart"] = self.restart_broker

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The shop writes, all look on, workers work."""
        with contextlib.closing(self.crew), self.shop, self.onlooker, self.scraper:
            self.crew.tidy()
            until(lambda: "owning" in "".join(one.log for one in self.crew.workers), seconds=60)
            self.shop.resume()
            yield

    # What happens.

    def join(self) -> None:
        self.crew.join()

    def freeze(self) -> None:
        if worker := self.crew.any():
            self.crew.stop(worker)
            self._after(SESSION_SECONDS * self._chance.uniform(1.5, 3.0), lambda: self.crew.wake(worker))

    def kill_in_checkpoint(self) -> None:
        self.crew.join(die_at=self._chance.choice(STEPS), die_after=self._chance.randrange(1, 4))

    def shut(self, how: Callable[[Proxy], None], *, alone: bool) -> None:
        doors = self._doors
        if alone:
            worker = self.crew.any(lambda one: self.crew.door(one) is not None)
            door = self.crew.door(worker) if worker else None
            doors = [door] if door else []
        for one in doors:
            how(one)
        times = (0.3, 2.0) if how is Proxy.cut else (1.5, 3.0)
        self._after(SESSION_SECONDS * self._chance.uniform(*times), lambda: [one.mend() for one in doors])  # type: ignore[func-returns-value, arg-type, return-value]

    def silence(self) -> None:
        partition = self._chance.randrange(self.partitions)
        self.shop.silent.add(partition)
        self._after(self._chance.uniform(6.0, 12.0), lambda: self.shop.silent.discard(partition))

    def restart_broker(self) -> None:
        assert self._kafka is not None
        self._kafka.stop(self._chance.choice([signal.SIGTERM, signal.SIGKILL]))
        self._kafka.start()

    def round(self, names: Sequence[str]) -> None:
        """These faults, one soon after the other, and the end of those that last."""
        self.shop.resume()
        for name in names:
            self.crew.tidy()
            self.faults[name]()
            self.happened[name] += 1
            self.pass_time(self._chance.uniform(0.2, 1.6))
        while self._later:
            self.pass_time(0.1)

    def pass_time(self, seconds: float) -> None:
        """Let so much time pass, and end what is due to end."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for due, end in [one for one in self._later if one[0] <= time.monotonic()]:
                self._later.remove((due, end))
                end()
            self.crew.tidy()
            time.sleep(0.05)  # time passing is what is wanted here

    def _after(self, seconds: float, end: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, end))

    # What is looked at when all is quiet.

    def compare(self) -> float:
        """Seconds until every row was as it should be; raises with the difference."""
        self.shop.pause()
        started = time.monotonic()
        self.twins.follow(self.shop.ends, 60)
        self._until_equal("rows", self._rows_differ)
        took = time.monotonic() - started
        self._until_equal("dead letters", self._letters_differ)
        self.calm.hear(self.twins.told[self._told_rows :])
        self._told_rows = len(self.twins.told)
        self._until_equal("merged rows", lambda: self.calm.differences(self.onlooker.merged)[:3])
        self._until_equal("owners of partitions", self._owners_differ)
        return took

    def _until_equal(self, what: str, differences: Callable[[], object], seconds: float = 240.0) -> None:
        def equal() -> bool:
            self.crew.settle()
            return not differences()

        if not until(equal, seconds=seconds, pause=0.1):
            raise AssertionError(f"{what}: {differences()}\n{self.crew.log()}")

    def _rows_differ(self) -> str:
        expected, found = self.twins.rows, self.onlooker.rows
        if found == expected:
            return ""
        missing = sorted(set(expected) - set(found))
        extra = sorted(set(found) - set(expected))
        other = [
            (expected[key], found[key]) for key in sorted(expected) if key in found and found[key] != expected[key]
        ]
        return (
            f"{len(expected)} expected; missing {len(missing)} {missing[:3]}, extra {len(extra)} {extra[:3]}, "
            f"different {len(other)} {other[:2]}"
        )

    def _letters_differ(self) -> str:
        found, expected = set(self.onlooker.last(self.settings.dead_letter_topic)), set(self.twins.rejected)
        if found != expected:
            return f"missing {sorted(expected - found)[:5]}, extra {sorted(found - expected)[:5]}"
        poison = self.onlooker.poison()
        spoilt = {key for key, reason in self.twins.rejected.items() if reason != "too_late"}
        return f"poison {sorted(poison ^ spoilt)[:5]}" if poison != spoilt else ""

    def _owners_differ(self) -> str:
        pages = [self.scraper.look(one) for one in self.crew.workers if one not in self.crew.still]
        told = sorted(number for page in pages for number in partitions_told(page))
        judges = sum("funnel_kpi_info{" in page for page in pages)
        expected = list(range(self.partitions))
        return f"partitions exported: {told}, judges: {judges}" if (told, judges) != (expected, 1) else ""

    def finish(self) -> None:
        """Stop all workers; the last look at everything, the reference included."""
        self.crew.all_stopped(60)
        until(lambda: not self._rows_differ(), seconds=10)
        assert not self._rows_differ(), self._rows_differ()
        self.findings += self.twins.finish()[:10]
        told = judged(self.onlooker.history[self.settings.anomalies_topic], self.settings.engine.window_ms)
        self.verdicts = told.verdicts
        self.findings += [f"judged twice: {line}" for line in told.changed[:5]]
        self.findings += [f"never judged: {told.gaps[:20]}"] if told.gaps else []
        self.findings += [f"judged otherwise: {line}" for line in unlike(self.settings, self.onlooker)[:5]]
        self.findings += [f"a total stepped back: {line}" for line in self.scraper.backward[:5]]
        self.false_pages = [one for id_, one in told.incidents.items() if id_ not in self.calm.incidents]
        self.findings += [f"false page: {one}" for one in self.false_pages[:5]]


@contextlib.contextmanager
def broker_of(kind: str) -> Iterator[tuple[str, NativeKafka | None, list[Proxy]]]:
    """Address of a broker; the broker itself, where it can be restarted with its data, and doors that can be shut."""
    if kind == "embedded":
        with embedded_broker() as bootstrap:
            yield bootstrap, None, []
        return
    with contextlib.ExitStack() as stack:
        doors = [stack.enter_context(Proxy(free_port())) for _ in range(DOORS)]
        kafka = NativeKafka(doors={door.target: door.port for door in doors})
        stack.callback(kafka.close)
        kafka.start()
        yield kafka.bootstrap, kafka, doors


def planned(seed: int, faults: int | None) -> list[list[str]]:
    """The faults of a seed in rounds; None: those of the long form."""
    chance = random.Random(-seed)
    if faults is None:
        deck = [name for name, times in LONG.items() for _ in range(times)]
        chance.shuffle(deck)
    else:
        deck = [chance.choice(sorted(LONG)) for _ in range(faults)]
    return [deck[first : first + ROUND] for first in range(0, len(deck), ROUND)]


def run(
    seed: int, kind: str, rounds: Sequence[Sequence[str]], minutes: float = 60.0
) -> tuple[Soak, list[tuple[str, ...]]]:
    """These faults, as far as a broker of this kind lets them happen; returns the run, and a table of what happened."""
    table: list[tuple[str, ...]] = []
    over = time.monotonic() + 60 * minutes
    with broker_of(kind) as (bootstrap, kafka, doors):
        soak = Soak(bootstrap, kafka, doors, seed)
        with soak.running():
            for number, planned_here in enumerate(rounds, 1):
                names = [name for name in planned_here if name in soak.faults]
                soak.round(names)
                took = soak.compare()
                hours = (soak.shop.now_ms - soak.shop.start_ms) / 3_600_000
                table.append(
                    (str(number), ", ".join(names), f"{hours:.1f}", f"{took:.1f}", str(len(soak.twins.rows)), "equal")
                )
                print(" | ".join(table[-1]), flush=True)
                if time.monotonic() > over:
                    break
            soak.finish()
    return soak, table


HEAD = ("round", "faults", "hours of the shop", "seconds to equal rows", "rows", "result")


def summary(soak: Soak, seconds: float) -> dict[str, str]:
    """What a run has been through, by name."""
    own = [f"{one.kind} of {'+'.join(one.kpis)}" for one in soak.calm.incidents.values()]
    return {
        "faults": ", ".join(f"{name} {times}" for name, times in sorted(soak.happened.items())),
        "ends of workers": ", ".join(f"{name} {times}" for name, times in sorted(soak.crew.ended.items())),
        "last words of workers that ended themselves": "; ".join(
            f"{words} ({times})" for words, times in soak.crew.reasons.most_common()
        )
        or "none did",
        "rebalances": str(len(soak.crew.generations)),
        "judges": str(soak.crew.judges),
        "times that a worker kept engines, and restored": f"{soak.crew.kept}, {soak.crew.restored}",
        "records": str(sum(soak.shop.ends.values())),
        "rows": str(len(soak.twins.rows)),
        "poison": str(len(soak.onlooker.poison())),
        "dead letters": str(len(soak.twins.rejected)),
        "windows judged": str(soak.calm.windows),
        "verdicts": str(soak.verdicts),
        "merged rows that went without a partition at first": str(len(soak.onlooker.incomplete())),
        "pages of metrics": str(soak.scraper.pages),
        "longest time that two workers told of one partition": f"{soak.scraper.longest_twice:.0f} s",
        "incidents of the same shop without faults": ", ".join(own) or "none",
        "incidents beside them": str(len(soak.false_pages)),
        "minutes": f"{seconds / 60:.1f}",
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=24)
    parser.add_argument(
        "--long", action="store_true", help="at least 100 kills, 20 freezes and 20 restarts of the broker"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="after these no other round begins")
    parser.add_argument("--broker", choices=("kafka", "embedded"), default="kafka")
    parser.add_argument("--table", type=Path, help="write a table of what happened to this file")
    told = parser.parse_args(arguments)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the broker goes away on purpose
    print(" | ".join(HEAD), flush=True)
    started = time.monotonic()
    soak, table = run(told.seed, told.broker, planned(told.seed, None if told.long else told.faults), told.minutes)
    facts = {"seed": str(told.seed), "broker": told.broker, **summary(soak, time.monotonic() - started)}
    lines = [f"{name}: {fact}" for name, fact in facts.items()]
    print("\n".join(lines))
    if told.table:
        rows = ["| " + " | ".join(line) + " |" for line in (HEAD, ("---",) * len(HEAD), *table)]
        facts_told = ["| what | seen |", "|---|---|", *(f"| {name} | {fact} |" for name, fact in facts.items())]
        told.table.write_text("\n".join([*facts_told, "", *rows]) + "\n", encoding="utf-8")
    print("\n".join(soak.findings))
    print(f"{len(table)} rounds equal, {len(soak.findings)} findings")
    return 1 if soak.findings else 0


if __name__ == "__main__":
    sys.exit(main())
