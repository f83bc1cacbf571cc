"""The metrics of the session API, named once."""

from prometheus_client import Counter, Gauge, Histogram

CALLS_TOTAL = Counter("vv_token_calls_total", "Finished calls", ["method", "code"])

CREATE_SECONDS = Histogram(
    "vv_token_create_seconds",
    "Time of a successful CreateSession",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.2),
)

WATCHERS = Gauge("vv_token_watchers", "Open WatchSession streams")
