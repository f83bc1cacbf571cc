"""The numbers and the words that a conversation is run with."""

from dataclasses import dataclass

from visavis_runtime.subjects import ASR_RATE_HZ, SPEECH_RATE_HZ

RATE_IN_HZ = ASR_RATE_HZ
RATE_OUT_HZ = SPEECH_RATE_HZ
FRAME_S = 0.032
"""One voice-activity frame: 512 samples at 16 kHz."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Thresholds and waits, in seconds unless the name says otherwise."""

    start_probability: float = 0.5
    """A frame at or above it is speech when none is going on; two in a row start an utterance."""
    stay_probability: float = 0.35
    """A frame at or above it continues speech that is going on."""
    start_frames: int = 2
    pre_roll_s: float = 0.5
    """Sound kept from before the detected start; the detector fires about 60 ms late."""
    endpoint_silence_s: float = 0.5
    """Silence after which the person's turn is over."""
    barge_in_s: float = 0.3
    """Speech of the person that stops the avatar."""
    burst_gap_s: float = 0.35
    """Silence that separates two bursts of speech when counting towards a barge-in."""
    max_snapshot_s: float = 28.0
    """Longest piece of an utterance for one recognition; longer ones are cut at a quiet place."""
    lead_s: float = 2.0
    """How far audio is handed to the avatar ahead of its playback."""
    piece_s: float = 0.1
    """Size of the pieces in which it is handed over."""
    commit_timeout_s: float = 20.0
    """A turn that is not stored by then is apologised for; storing is retried for 15 s."""
    asr_timeout_s: float = 5.0
    first_sentence_timeout_s: float = 10.0
    sentence_timeout_s: float = 5.0
    max_answer_s: float = 60.0
    """Longest generated answer, in speech."""
    stop_report_s: float = 0.3
    """How long the avatar's own report of a stopped playback is waited for."""
    start_report_s: float = 1.5
    """After this long without a report of the start, our clock is taken as the playback's."""
    finish_report_s: float = 1.0
    """The same for the end."""
    greeting_wait_s: float = 3.0
    """The greeting plays when the microphone is there, or this long after joining."""
    back_within_s: float = 2.0
    """Whoever is back within this time was never away: a connection made anew looks like a leave
    and a join. Until it is over, an answer goes on, into the empty room of whoever did leave."""
    client_gone_s: float = 60.0
    never_joined_s: float = 120.0
    max_duration_s: float = 3600.0
    max_silence_s: float = 0.0
    """Longest silence of both sides while the person is there; 0: no limit."""


@dataclass(frozen=True, slots=True)
class TurnTaking:
    """When the person is done and what interrupts; a session's own, changed while it runs."""

    dip_s: float = 0.1
    """Silence after which what was said so far is recognised."""
    min_delay_s: float = 0.3
    """Silence that ends a turn when words and sound both seem finished."""
    mid_delay_s: float = 0.8
    """The same when only one of the two does."""
    max_delay_s: float = 2.5
    """The same when neither does."""
    interrupt_after_s: float = 0.3
    """Speech that stops the speaking avatar."""
    interrupt_words: int = 0
    """So many recognised words are needed as well."""
    interrupt_thinking_after_s: float = 0.3
    """The same for an answer nothing of which was heard."""
    interrupt_thinking_words: int = 0
    interruptible: bool = True
    speculation: bool = True
    manual: bool = False
    """Push-to-talk: the turn is what is said while the button is held."""
    nudge_after_s: float = 0.0
    """Silence of both sides after which the person is asked; 0: never."""


PROFILES = {
    "quick": TurnTaking(min_delay_s=0.2, mid_delay_s=0.5, max_delay_s=1.5),
    "balanced": TurnTaking(),
    "patient": TurnTaking(min_delay_s=0.6, mid_delay_s=1.5, max_delay_s=4.0),
    "manual": TurnTaking(manual=True),
}


@dataclass(frozen=True, slots=True)
class Persona:
    """What the avatar is told to be, and its fixed phrases."""

    instructions: str
    greeting: str = ""
    apology: str = "I am sorry, something went wrong. Could you say that again?"
    voice: str = ""
    disclosure: str = ""
    """Said before the greeting: that this is an AI. Empty: switched off."""
    pardon: str = ""
    """Said when the words were not recognised well enough; empty: they are answered anyway."""
    nudge: str = ""
    """Said when the person is silent for long."""
    max_context_bytes: int = 240_000
    """Largest sum of messages for the language model; the oldest go first."""
