"""Holds the sessions: room, microphone, turn taking, playback, history, the avatar."""
