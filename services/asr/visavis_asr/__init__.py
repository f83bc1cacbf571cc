"""Speech recognition worker: utterance snapshots in, text out."""
