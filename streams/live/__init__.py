"""The Faust shell: topics in, rows, verdicts, snapshots and dead letters out."""
