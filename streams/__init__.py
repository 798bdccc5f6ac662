"""Everything that moves events: from Kafka to funnel KPIs, alerts and replays."""
