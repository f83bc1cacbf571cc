"""The embedded language model, served in the dialect of OpenAI.."""
