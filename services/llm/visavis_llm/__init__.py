"""Language model worker: a conversation in, the answer sentence by sentence out."""
