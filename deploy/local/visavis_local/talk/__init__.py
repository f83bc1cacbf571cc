"""The demo's conversation: `python -m visavis_local.talk`, started by `make demo`."""

LOG = "VISAVIS_TALK_LOG"
"""A file for what libraries have to say; unset: the standard error."""
KEEP_SERVING = "VISAVIS_TALK_KEEP_SERVING"
"""Set: stay after the verdict, until told to end."""
