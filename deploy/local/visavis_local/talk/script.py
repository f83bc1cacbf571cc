"""What is said in the demo's conversation."""

CHARACTER = "nova"

QUESTION = "What is the capital of France?"
FOLLOW_UP = "Thank you. What can I see in that city?"
LONG_ANSWER = (
    "I will gladly tell you the whole long story of the river that runs through the middle of "
    "the city and of the many old bridges that people have built across it. The oldest bridge "
    "that still stands today is called the new bridge, and it was finished more than four hundred "
    "years ago. In the evening the lamps are lit and the boats go by slowly under the arches."
)
INTERRUPTION = "Please stop there, I have another question. What is your name?"
GOODBYE = "Thank you very much for your time. Goodbye."

SPOKEN_BY_THE_PERSON = (QUESTION, FOLLOW_UP, INTERRUPTION, GOODBYE)

INTERRUPT_AFTER_S = 2.0
"""How much of the long answer is heard before the person speaks."""
