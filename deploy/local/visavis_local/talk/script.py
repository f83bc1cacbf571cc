"""What is said in the demo's conversation."""

CHARACTER = "nova"
MAX_OUTPUT_TOKENS = 50
"""A tiny model does not find an end by itself, and somebody is waiting for the last line."""

QUESTION = "Why is the sky blue?"
FOLLOW_UP = "Thank you. And what does it look like at night?"
LONG_ANSWER = (
    "I will gladly tell you the whole long story of the light that leaves the sun and travels for "
    "eight minutes through the dark before it reaches the air around our earth. On its way "
    "through the air the blue part is scattered in all directions, and that is why we see it "
    "everywhere above us. In the evening the way is longer, and only the red part is left."
)
INTERRUPTION = "Please stop there, I have another question. What is your name?"
GOODBYE = "Thank you very much for your time. Goodbye."

SPOKEN_BY_THE_PERSON = (QUESTION, FOLLOW_UP, INTERRUPTION, GOODBYE)

INTERRUPT_AFTER_S = 2.0
"""How much of the long answer is heard before the person speaks."""
