"""The pure engine: batches of records in, KPI rows out, in event time."""
