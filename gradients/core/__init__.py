"""The contract of objectives and backends, and its checks."""
