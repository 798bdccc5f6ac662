"""What topics must look like, judged from what a broker says of them."""

from streams.kafka import TopicInfo
from streams.live.settings import LiveSettings
from streams.live.topics import findings, topic_plans

SETTINGS = LiveSettings(review_horizon_ms=7 * 86_400_000)


def there(partitions: int = 4, **changed: TopicInfo) -> dict[str, TopicInfo]:
    plans = topic_plans(SETTINGS, partitions)
    return {name: TopicInfo(plan.partitions, plan.config) for name, plan in plans.items()} | changed


def troubles(**changed: TopicInfo) -> list[tuple[str, str]]:
    return [(one.level, one.subject) for one in findings(SETTINGS, there(**changed)) if one.level != "ok"]


def test_topics_as_they_are_created_have_no_fault() -> None:
    assert troubles() == []
    assert {one.subject for one in findings(SETTINGS, there())} == set(topic_plans(SETTINGS, 4))


def test_sources_with_different_partition_counts_are_an_error_with_a_way_out() -> None:
    found = [one for one in findings(SETTINGS, there(orders=TopicInfo(2, {}))) if one.level == "error"]
    assert [one.subject for one in found] == ["clickstream"]
    assert "orders has 2" in found[0].problem
    assert found[0].way_out


def test_two_partitions_of_the_kpi_topic_are_an_error() -> None:
    assert troubles(**{"funnelwatch.kpi": TopicInfo(2, {"cleanup.policy": "compact"})}) == [
        ("error", "funnelwatch.kpi")
    ]


def test_snapshots_of_another_partition_count_are_an_error() -> None:
    snapshots = {"funnelwatch.snapshots": TopicInfo(3, {"cleanup.policy": "compact"})}
    assert troubles(**snapshots) == [("error", "funnelwatch.snapshots")]


def test_retention_shorter_than_the_review_horizon_is_a_warning_and_equal_is_none() -> None:
    equal, shorter = {"retention.ms": str(7 * 86_400_000)}, {"retention.ms": str(7 * 86_400_000 - 1)}
    assert troubles(clickstream=TopicInfo(4, equal)) == []
    assert troubles(clickstream=TopicInfo(4, shorter)) == [("warning", "clickstream")]


def test_a_compacted_source_is_an_error() -> None:
    assert troubles(orders=TopicInfo(4, {"cleanup.policy": "compact"})) == [("error", "orders")]


def test_an_uncompacted_state_topic_is_a_warning() -> None:
    told = {"funnelwatch.snapshots": TopicInfo(4, {"cleanup.policy": "delete"})}
    assert troubles(**told) == [("warning", "funnelwatch.snapshots")]


def test_missing_topics_are_warnings() -> None:
    assert {one.level for one in findings(SETTINGS, {})} == {"warning"}
