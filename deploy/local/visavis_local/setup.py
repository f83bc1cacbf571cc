"""What the demo and the tests need beside the Python packages: `python -m visavis_local.setup`."""

from visavis_local.binaries import livekit_server, nats_server
from visavis_local.caller_voice import CallerVoice
from visavis_local.page import build_page
from visavis_local.talk.script import SPOKEN_BY_THE_PERSON


def main() -> None:
    """Get everything that is not there yet."""
    nats_server()
    livekit_server()
    build_page()
    CallerVoice().speak(SPOKEN_BY_THE_PERSON)


if __name__ == "__main__":
    main()
