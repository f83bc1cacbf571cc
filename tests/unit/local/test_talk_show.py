"""The demo's print: readable in a plain terminal."""

from dataclasses import replace

from visavis_local.talk import show
from visavis_local.talk.report import Answer, Interruption, Report

TIMES = {
    "endpoint": 0.5,
    "transcript": 0.65,
    "first_sentence": 1.0,
    "first_audio": 1.02,
    "handed_over": 1.02,
    "playback_started": 1.04,
}
ANSWER = Answer(
    name="question",
    is_generated=True,
    said="Blue.",
    heard="Blue.",
    is_interrupted=False,
    waterfall=TIMES,
    first_sound_s=1.2,
    level_dbfs=-26.2,
    sound_s=2.0,
    word_error_rate=0.25,
)
SAY = replace(
    ANSWER, name="long answer", is_generated=False, waterfall={"first_audio": 0.07}, first_sound_s=9
)


def test_a_waterfall_has_every_step_with_its_whole_and_its_part() -> None:
    lines = show.waterfall(ANSWER).splitlines()
    assert [line.split("|")[0].split() for line in lines] == [
        ["end", "of", "speech", "0"],
        ["endpoint", "decided", "500", "+500"],
        ["transcript", "650", "+150"],
        ["first", "sentence", "1000", "+350"],
        ["first", "PCM", "1020", "+20"],
        ["handed", "to", "the", "avatar", "1020", "+0"],
        ["playback", "started", "1040", "+20"],
        ["first", "sound", "(caller)", "1200", "+160"],
    ]


def test_the_bars_follow_each_other() -> None:
    bars = [line.split("|")[1] for line in show.waterfall(ANSWER).splitlines()[1:]]
    begins = [len(bar) - len(bar.lstrip()) for bar in bars]
    assert begins == sorted(begins)
    assert all("#" in bar for bar in bars)


def test_a_step_that_did_not_happen_is_a_dash() -> None:
    silent = replace(SAY, waterfall={}, first_sound_s=None)
    lines = show.waterfall(silent).splitlines()
    assert lines[0].split() == ["Say", "committed", "0"]
    assert all(line.endswith(" -") for line in lines[1:])


def test_a_sound_before_its_step_is_shown_where_it_was() -> None:
    """The two clocks' origins differ."""
    lines = show.waterfall(replace(ANSWER, first_sound_s=1.03)).splitlines()
    assert [line.split("|")[0].split() for line in lines[-2:]] == [
        ["first", "sound", "(caller)", "1030", "+10"],
        ["playback", "started", "1040", "+10"],
    ]


def test_the_table_has_the_medians_of_what_was_generated() -> None:
    slower = replace(ANSWER, first_sound_s=1.4, word_error_rate=0.0)
    rows = show.table([ANSWER, SAY, slower]).splitlines()
    cells = {row[:23].strip(): row[23:].split() for row in rows}
    assert cells["voice-to-voice"] == ["1200", "9000", "1400", "1300"]
    assert cells["first PCM"] == ["1020", "70", "1020", "1020"]
    assert cells["endpoint decided"] == ["500", "-", "500", "500"]
    assert cells["word error rate"] == ["25", "%", "25", "%", "0", "%", "25", "%"]


def test_nothing_is_wider_than_the_page() -> None:
    text = "many words " * 40
    report = Report(answers=[ANSWER], model_requests=1)
    cut = Interruption(level_before_dbfs=-26.0, left_s=9.0, silent_after_s=0.459)
    printed = [
        show.words("Person", text),
        show.heading("latency"),
        show.waterfall(ANSWER),
        show.interruption(cut),
        show.table([ANSWER] * 5),
        show.paragraph(show.HOW_MEASURED),
        show.model_count(report),
    ]
    assert max(len(line) for text in printed for line in text.splitlines()) <= show.WIDTH


def test_the_settings_of_a_real_model_are_named() -> None:
    said = " ".join(show.model_count(Report(answers=[ANSWER], model_requests=1)).split())
    assert "VISAVIS_LLM_BASE_URL, VISAVIS_LLM_MODEL, VISAVIS_LLM_API_KEY" in said
    assert "counted 1 chat requests for 1 generated" in said


def test_with_a_model_from_outside_nothing_is_counted() -> None:
    said = " ".join(show.model_count(Report(answers=[ANSWER])).split())
    assert "cannot be counted here" in said


def test_the_verdict_has_a_line_for_every_reason() -> None:
    assert show.verdict(["one", "two"]).splitlines()[1:] == ["  - one", "  - two"]
    assert "All was well" in show.verdict([])
