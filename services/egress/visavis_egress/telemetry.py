"""The metrics of egress, named once."""

from prometheus_client import Counter, Gauge, Histogram

from visavis_egress.conversation.commands import Origin, RecordOutcome

SESSIONS = Gauge("vv_sessions", "Sessions held by this process")

SLOTS = Gauge("vv_session_slots", "Sessions this process can hold")

TAKE_OVERS_TOTAL = Counter("vv_take_overs_total", "Sessions taken over from another holder")

ROOM_RECONNECTS_TOTAL = Counter(
    "vv_room_reconnects_total",
    "Agents' connections to rooms: reconnecting, reconnected, room_made_anew",
    ["step"],
)

TURNS_TOTAL = Counter("vv_turns_total", "Turns by origin and outcome", ["origin", "outcome"])

ERRORS_TOTAL = Counter("vv_session_errors_total", "Error events of sessions", ["stage", "code"])

STEP_SECONDS = Histogram(
    "vv_turn_step_seconds",
    "From the end of the person's speech to each step of the answer",
    ["step"],
    buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0),
)

SCORE_SECONDS = Histogram(
    "vv_turn_score_seconds",
    "How long a scorer of the turn's end took, by outcome: scored, or why there is no score",
    ["scorer", "outcome"],
    buckets=(0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0),
)

SPECULATION_TOTAL = Counter(
    "vv_speculation_total", "Answers begun before their turn was over, by their end", ["outcome"]
)

SPECULATION_WASTED_SECONDS = Counter(
    "vv_speculation_wasted_seconds_total", "Seconds of engines behind what was not used", ["stage"]
)

_STEPS = (
    "endpoint",
    "transcript",
    "first_sentence",
    "first_audio",
    "handed_over",
    "playback_started",
)


def observe_turn(outcome: RecordOutcome) -> None:
    """Count a turn and, for spoken ones, where its time went."""
    word = "interrupted" if outcome.interrupted else "completed"
    TURNS_TOTAL.labels(outcome.origin.name.lower(), word).inc()
    if outcome.origin is not Origin.SPEECH:
        return
    for step in _STEPS:
        moment = getattr(outcome.anchors, step)
        if moment is not None:
            # A step may have been taken before the person's last word.
            STEP_SECONDS.labels(step).observe(max(0.0, moment - outcome.anchors.origin))
