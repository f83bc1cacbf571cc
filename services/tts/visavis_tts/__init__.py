"""Speech synthesis worker: sentences in, 100 ms pieces of sound out."""
