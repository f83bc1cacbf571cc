"""`make eval-turns`: false cut-offs against waiting time, of silence, each scorer and both."""

import argparse
import os
from pathlib import Path

from tests.eval.turns import curves, kokoro, picture
from tests.eval.turns.clips import CLEAN, clips
from tests.eval.turns.curves import FAMILIES
from tests.eval.turns.hearing import Heard, hear
from tests.eval.turns.replay import point
from tests.eval.turns.report import in_noise, report, silence_points
from tests.eval.turns.rules import shipped
from tests.eval.turns.utterances import PARTS
from tests.eval.turns.voices import Voices
from visavis_local.places import CACHE


def main() -> None:
    """Make what is missing, run everything, print, and leave the report and the picture."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options.add_argument("--out", type=Path, default=CACHE / "eval", help="where the report goes")
    chosen = options.parse_args()
    kokoro.fetch()
    parts = {name: _heard(name, chosen.jobs) for name in PARTS}
    text = report(parts)
    print(text)
    quiet = {name: in_noise(heard, CLEAN) for name, heard in parts.items()}
    tuned = curves.tuned(quiet["tuning"])
    panels = {
        name: {
            family: silence_points(heard) if family == "silence" else tuned.points(family, heard)
            for family in FAMILIES
        }
        for name, heard in quiet.items()
    }
    balanced = next(one for one in shipped() if one.label == "balanced")
    marks = {name: point("balanced", heard, balanced.rule) for name, heard in quiet.items()}
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "eval-turns.md").write_text(text)
    (chosen.out / "eval-turns.svg").write_text(picture.svg(panels, marks))
    print(f"eval-turns: {chosen.out / 'eval-turns.md'}, {chosen.out / 'eval-turns.svg'}")


def _heard(part: str, jobs: int) -> list[Heard]:
    print(f"eval-turns: {part}: speaking what is not there yet", flush=True)
    return hear(list(clips(part, Voices())), jobs=jobs)


if __name__ == "__main__":
    main()
