"""Where the time of one answer went, from egress' own steps and what the listener heard.

The steps of an answer are not in a row: recognition, first sentence and first sound may lie before
the decision that the person is done. So only what lies after the decision is told apart:

    end of speech --setting--|--decision--|--asr--llm--tts--|--ours--|--playout--> first sound heard
                             the wait                  after the decision

`setting`   the configured delay that applied: the longest of min, mid and max that had passed
`decision`  the rest of the wait: the way of the sound to us, the voice detector's idea of the end,
            scorers that were late, 32 ms frames and 20 ms ticks
`asr`...    engine seconds, as the workers report them, as far as they lie after the decision
`ours`      from the decision to the hand-over of the first samples, without those engine seconds:
            bus, storing the turn, event loops, and waiting for a worker that is busy with others
`playout`   from the hand-over to the first sound heard: avatar, encoder, network, jitter buffer,
            and silence at the beginning of the speech itself

They add up to voice-to-voice. `asr` to `ours` are differences on egress' clock alone. Where the
wait ends is known, in a real room, by the stored time of the committed turn: that is 1 to 3 ms
after the decision, or after the words where those came later, and `playout` then lacks these
milliseconds. Behind the in-process room it is known by the first captured frame, which both sides
have seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

STAGES = ("setting", "decision", "asr", "llm", "tts", "ours", "playout")
_ENGINE_ENDS = {"asr": "transcript", "llm": "first_sentence", "tts": "first_audio"}
_TICK_S = 0.001


@dataclass(frozen=True, slots=True)
class Turn:
    """What is known of one answer, in seconds after the end of the trimmed speech.

    `steps`: egress' waterfall, from its own idea of that end; `engines`: seconds of asr, llm, tts
    behind what was used; `heard_s`: the first audible frame.
    """

    heard_s: float
    decided_s: float
    steps: Mapping[str, float]
    engines: Mapping[str, float]


def words_waited_s(steps: Mapping[str, float]) -> float:
    """From the decision to the commit: a turn is stored once its words are there as well."""
    return max(0.0, steps.get("transcript", 0.0) - steps["endpoint"])


def stages(turn: Turn, delays_s: Sequence[float]) -> dict[str, float]:
    """Seconds of each of STAGES; their sum is `turn.heard_s`. KeyError: a step is missing."""
    endpoint, handed_over = turn.steps["endpoint"], turn.steps["handed_over"]
    setting = max((one for one in delays_s if one <= endpoint + _TICK_S), default=0.0)
    found = {"setting": setting, "decision": turn.decided_s - setting}
    begun = endpoint
    for engine, step in _ENGINE_ENDS.items():
        end = min(turn.steps.get(step, 0.0), handed_over)
        begin = max(begun, end - turn.engines.get(engine, 0.0))
        found[engine] = max(0.0, end - begin)
        begun = max(begun, end)
    after = handed_over - endpoint
    found["ours"] = after - sum(found[engine] for engine in _ENGINE_ENDS)
    found["playout"] = turn.heard_s - turn.decided_s - after
    return found
