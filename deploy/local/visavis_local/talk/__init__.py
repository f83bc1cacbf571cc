"""The demo's conversation: `python -m visavis_local.talk`, started by `make demo`."""

KEEP_SERVING = "VISAVIS_TALK_KEEP_SERVING"
"""Set: stay after the verdict, until told to end."""
