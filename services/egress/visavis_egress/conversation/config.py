"""The numbers and the words that a conversation is run with."""

from dataclasses import dataclass

from visavis_runtime.subjects import ASR_RATE_HZ, SPEECH_RATE_HZ

RATE_IN_HZ = ASR_RATE_HZ
RATE_OUT_HZ = SPEECH_RATE_HZ
FRAME_S = 0.032
"""One voice-activity frame: 512 samples at 16 kHz."""

STALL_S = 0.5
"""Without packets for so long a microphone is stalled: in silence a sender with DTX sends one every
0.4 s (measured: 0.45 s at most)."""
SCORE_TIMEOUT_S = 0.3
"""Nobody waits longer for the score of the words."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Thresholds and waits, in seconds unless the name says otherwise."""

    start_probability: float = 0.5
    """A frame at or above it is speech when none is going on; two in a row start an utterance."""
    stay_probability: float = 0.35
    """A frame at or above it continues speech that is going on."""
    start_frames: int = 2
    pre_roll_s: float = 0.5
    """Sound kept from before the detected start."""
    press_pre_roll_s: float = 0.3
    """The same from before the button was pressed, in push-to-talk."""
    late_s: float = 0.06
    """The detector fires so late (Silero, measured): speech has lasted so much longer."""
    burst_gap_s: float = 0.35
    """Silence that separates two bursts of speech when counting towards a barge-in."""
    stall_s: float = STALL_S
    """So much seemed to be silence before a microphone without packets was noticed."""
    partial_s: float = 0.5
    """Speech after which its words so far are asked for, for a caption."""
    partial_share: float = 0.1
    """The same as a share of what there is to recognise: long speech is not sent twice a second."""
    sound_score_s: float = 0.2
    """Silence after which the sound is scored: the scorer was made for so much of it."""
    score_timeout_s: float = SCORE_TIMEOUT_S
    """A score that has not come by then is taken as absent."""
    hard_stop_s: float = 5.0
    """Silence after which a turn is over whatever the scores say."""
    short_word_s: float = 0.15
    """Speech below it, while the avatar speaks, is a noise; above it its words decide."""
    echo_guard_s: float = 3.0
    """For so long after the avatar's first sound its echo may sound like a person."""
    echo_probability: float = 0.7
    echo_interrupt_s: float = 0.45
    """What it takes to interrupt meanwhile."""
    duck_s: float = 0.1
    """Speech after which the avatar's voice is lowered."""
    surely_a_turn_s: float = 2.0
    """Speech that is a turn whatever its words turn out to be."""
    reply_s: float = 1.0
    """With less than this unheard, an "okay" is the reply to what the avatar has said."""
    held_s: float = 20.0
    """Silence after which a button is taken to be up, in push-to-talk."""
    draft_wait_s: float = 0.1
    """So long the words' score is waited for before they are answered: asked together, the model
    server makes both late; and words that are going on need no answer yet."""
    speaks_on_s: float = 1.0
    """Further speech that voids what was begun on the words before it."""
    stateful_model: bool = False
    """The language model acts or remembers: it is shown no words before their turn is stored."""
    speculations_a_turn: int = 4
    speculations_a_session: int = 1000
    min_confidence: float = 0.4
    """Words recognised less surely are asked for again, once."""
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
