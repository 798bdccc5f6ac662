"""The outbox on a real broker: order, neighbours written together, promises."""

import asyncio

from streams.kafka import read_topic
from streams.live.outbox import BATCH_BYTES, Outbox
from streams.live.settings import LiveSettings
from streams.live.topics import ensure_topics

Told = tuple[str, int, bytes | None, bytes | None]


def settings_of(broker: str, name: str) -> LiveSettings:
    return LiveSettings(
        bootstrap=broker,
        app_id=name,
        kpi_topic=f"{name}-kpi",
        anomalies_topic=f"{name}-anomalies",
        dead_letter_topic=f"{name}-dead-letter",
        snapshots_topic=f"{name}-snapshots",
        partitions=2,
    )


async def written(settings: LiveSettings, letters: list[Told]) -> list[list[tuple[bytes | None, bytes | None]]]:
    """What stands in the KPI topic and in the two partitions of the snapshots after these were put."""
    failures: list[BaseException] = []
    await ensure_topics(settings)
    outbox = Outbox(settings.client_args, failures.append)
    await outbox.start()
    try:
        for topic, partition, key, value in letters:
            outbox.put(partition, topic, key, value, partition)
        for owner in (0, 1):
            await outbox.settled(owner)
    finally:
        await outbox.stop(5.0)
    assert not failures
    found = []
    for topic, partition in ((settings.kpi_topic, 0), (settings.snapshots_topic, 0), (settings.snapshots_topic, 1)):
        read = [
            record async for _, records in read_topic(settings.client_args, topic, [partition]) for record in records
        ]
        found.append([(record.key, record.value) for record in read])
    return found


def test_records_stand_in_their_partition_in_the_order_in_which_they_were_put(broker: str, name: str) -> None:
    settings = settings_of(broker, name)
    kpi, snapshots = settings.kpi_topic, settings.snapshots_topic
    letters: list[Told] = [(kpi, 0, b"%d" % number, b"row %d" % number) for number in range(500)]
    letters += [(snapshots, number % 2, b"s%d" % number, None) for number in range(40)]
    letters += [(snapshots, 1, b"t%d" % number, b"") for number in range(3_000)]
    letters += [(kpi, 0, b"large %d" % number, bytes(BATCH_BYTES * number // 3)) for number in range(9)]
    found = asyncio.run(written(settings, letters))
    for place, (topic, partition) in enumerate(((kpi, 0), (snapshots, 0), (snapshots, 1))):
        assert found[place] == [one[2:] for one in letters if one[:2] == (topic, partition)]


def test_a_record_that_no_broker_takes_is_told_once_and_to_those_who_wait(broker: str, name: str) -> None:
    async def check() -> None:
        settings = settings_of(broker, name)
        await ensure_topics(settings)
        failures: list[BaseException] = []
        outbox = Outbox(settings.client_args, failures.append)
        await outbox.start()
        try:
            for owner in (0, 1):
                outbox.put(owner, settings.kpi_topic, b"k", bytes(2 << 20), 0)
            told = await asyncio.gather(outbox.settled(0), outbox.settled(1), return_exceptions=True)
        finally:
            await outbox.stop(5.0)
        assert all(isinstance(one, Exception) for one in told)
        assert len(failures) == 1
        assert "MessageSizeTooLarge" in str(failures[0])

    asyncio.run(check())
