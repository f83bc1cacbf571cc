"""Conversations in a world that answers late, in any order, twice, wrongly or not at all."""

import copy
import dataclasses

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.egress.conversation.driver import GREETING, PATIENT_MODEL
from tests.unit.egress.conversation.world import Faults, World
from visavis.session.v1 import session_pb2
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.commands import Anchors, Origin, State
from visavis_egress.conversation.config import PROFILES, Persona, TurnTaking
from visavis_egress.conversation.turns import Recovered, Turn

# Derandomised: the same examples on every machine, so that a red build can be repeated.
PROFILE = settings(
    max_examples=500,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

seconds = st.sampled_from((0.0, 0.05, 0.3, 0.6, 1.0, 2.0, 4.0))
actions = st.one_of(
    st.tuples(st.just("speak"), st.sampled_from((0.02, 0.05, 0.2, 0.4, 1.0, 2.5))),
    st.tuples(st.just("speak"), st.sampled_from((0.4, 1.0))),
    st.tuples(st.just("type"), st.just(0.0)),
    st.tuples(st.just("say"), st.sampled_from((0.0, 1.0))),
    st.tuples(st.just("hold"), st.just(0.0)),
    st.tuples(st.just("interrupt"), st.just(0.0)),
    st.tuples(st.just("become"), st.just(0.0)),
    st.tuples(st.just("lose"), st.sampled_from((0.0, 0.5, 6.0))),
    st.tuples(st.just("ready"), st.just(0.0)),
    st.tuples(st.just("leave"), st.just(0.0)),
    st.tuples(st.just("join"), st.just(0.0)),
    st.tuples(st.just("replace"), st.sampled_from((0.0, 1.0))),
    st.tuples(st.just("stall"), st.sampled_from((0.3, 3.0))),
    st.tuples(st.just("press"), st.sampled_from((0.3, 1.5))),
    st.tuples(st.just("retake"), st.just(0.0)),
)
scripts = st.lists(st.tuples(seconds, actions), min_size=1, max_size=10)
faults = st.builds(
    Faults,
    loss=st.sampled_from((0.0, 0.0, 0.02, 0.2, 0.6)),
    repeat=st.sampled_from((0.0, 0.3)),
    failure=st.sampled_from((0.0, 0.0, 0.1, 0.4)),
    delay_s=st.sampled_from((0.01, 0.2, 1.5)),
    hang=st.sampled_from((0.0, 0.0, 0.2)),
    commit_loss=st.sampled_from((0.0, 0.0, 0.2)),
)
recoveries = st.sampled_from(
    (
        None,
        None,
        Recovered(
            (("user", "Hi."), ("assistant", "Hello.")),
            4,
            (
                Turn(2, Origin.SPEECH, "Why?", Anchors(1000.0), sentences=("Yes.", "No."), heard=1),
                Turn(3, Origin.SAY, "Listen.", Anchors(1000.0), "old"),
            ),
            500.0,
        ),
    )
)
takings = st.sampled_from(
    (
        *PROFILES.values(),
        PATIENT_MODEL,
        TurnTaking(interrupt_words=2, interrupt_thinking_words=1),
        TurnTaking(interruptible=False),
        TurnTaking(nudge_after_s=4.0, speculation=False),
    )
)
PHRASES = dataclasses.replace(
    GREETING, disclosure="I am an AI.", pardon="Pardon?", nudge="Still there?"
)
personas = st.sampled_from((GREETING, PHRASES))
endings = st.sampled_from(("", "", "", "drain", "end"))


def perform(world: World, action: str, value: float, number: int) -> None:
    """Let one thing of the script happen."""
    if action == "ready" and not world.avatar.is_there:
        return
    events: dict[str, list[on.Event]] = {
        "type": [on.TextTyped(f"typed {number}")],
        # A repeated request id now and then.
        "say": [on.SayRequested(f"request {0 if value else number}", f"say {number}")],
        "hold": [on.SayRequested(f"request {number}", f"hold {number}", interruptible=False)],
        "interrupt": [on.InterruptRequested()],
        "become": [on.PersonaChanged("Be brief.", "")],
        "ready": [on.AvatarReady()],
        "stall": [on.MicrophoneStalled()],
        "press": [on.TalkPressed()],
        "retake": [on.TurnTakingChanged(list(PROFILES.values())[number % len(PROFILES)])],
        "leave": [on.PersonLeft()],
        "replace": [on.PersonReplaced(), *([on.PersonJoined()] if value else [])],
        "join": [on.PersonJoined(), on.MicrophoneReady()],
    }
    for event in events.get(action, ()):
        world.feed(event)
    if action in ("speak", "press"):
        world.speak(value)
    if action == "lose":
        world.lose_avatar(value)
    later = {"stall": on.MicrophoneFlows(), "press": on.TalkReleased()}
    if action in later:
        world.at(value, lambda: world.feed(later[action]))


def finish(world: World, ending: str) -> None:
    """Whatever the state is, silence must make it quiet, in bounded time and for good."""
    stage, judge = world.stage, world.judge
    if ending == "drain":
        world.feed(on.DrainRequested())
    elif ending == "end":
        world.feed(on.EndRequested(session_pb2.END_REASON_API))
    world.fall_silent()
    is_over = bool(stage.all(do.EndSession))
    # Those committed, those that a holder before left open, and one for what is being recognised.
    open_turns = len(judge.commits) + 3 - sum(judge.outcomes.values())
    if not is_over:
        world.run(30.0)  # what was being recognised or stored is decided by now, and who is there
        for _ in range(open_turns * 8):
            before = len(stage.log)
            world.run(10.0)
            if stage.is_quiet() and len(stage.log) == before:
                break
        judge.check(stage.is_quiet(), "silence makes it quiet")
    is_there = stage.all(do.RecordPresence)[-1:] == [do.RecordPresence(joined=True)]
    if not is_over and is_there:
        before = len(stage.log)
        world.run(5.0)
        judge.check(len(stage.log) == before, "what is quiet stays quiet")
        judge.check(stage.shows(State.LISTENING), "it listens")
        lowered = [duck.is_low for duck in stage.all(do.Duck)]
        judge.check(lowered[-1:] != [True], "a voice that was lowered is raised")
        shown = {caption.segment: caption.final for caption in stage.all(do.UserCaption)}
        judge.check(all(shown.values()), "a caption that may change has an end")
    judge.handed()
    if is_over or (is_there and ending != "drain"):
        answered = {turn for turn, count in judge.outcomes.items() if count == 1}
        judge.check(judge.committed <= answered, "every committed turn has an outcome")


@PROFILE
@given(st.integers(0, 2**32), faults, recoveries, st.tuples(personas, takings), scripts, endings)
def test_no_order_of_arrival_breaks_a_conversation(
    seed: int,
    faults: Faults,
    recovered: Recovered | None,
    manners: tuple[Persona, TurnTaking],
    script: list[tuple[float, tuple[str, float]]],
    ending: str,
) -> None:
    persona, taking = manners
    world = World(seed, faults, copy.deepcopy(recovered), taking, persona)
    world.at(0.1, world.bring_avatar)
    perform(world, "join", 0.0, 0)
    for number, (gap_s, (action, value)) in enumerate(script):
        world.run(gap_s)
        perform(world, action, value, number)
    world.run(seed % 7 * 0.7)
    finish(world, ending)


@settings(PROFILE, max_examples=80)
@given(st.integers(0, 2**32), personas, takings, scripts)
def test_in_a_good_world_every_turn_is_answered_without_an_error(
    seed: int,
    persona: Persona,
    taking: TurnTaking,
    script: list[tuple[float, tuple[str, float]]],
) -> None:
    world = World(seed, Faults(), taking=taking, persona=persona)
    world.bring_avatar()
    perform(world, "join", 0.0, 0)
    harmless = ("speak", "type", "say", "hold", "interrupt", "become")
    for number, (gap_s, (action, value)) in enumerate(script):
        world.run(gap_s + 3.0)
        if action in harmless:
            perform(world, action, value, number)
    world.run(60.0)
    finish(world, "")
    # An answer without a sentence is apologised for; nothing else may go wrong.
    errors = {error.code for error in world.stage.all(do.RecordError)}
    assert errors <= {"EMPTY_ANSWER"}
