"""The metrics of the pipeline stages, named once."""

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)

WORK_TOTAL = Counter("vv_work_total", "Work items by outcome", ["stage", "outcome"])
"""Outcomes: done, stale, cancelled, retried, poisoned, returned."""

WORK_SECONDS = Histogram(
    "vv_work_seconds", "Time spent on a finished work item", ["stage"], buckets=_SECONDS
)

WORK_RUNNING = Gauge("vv_work_running", "Work items in progress", ["stage"])

LOOP_LAG_SECONDS = Gauge(
    "vv_event_loop_lag_seconds", "How late the event loop woke at the last look"
)
