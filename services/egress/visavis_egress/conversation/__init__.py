"""The brain of a session: a pure, synchronous, clock-free state machine.

    commands = conversation.feed(event, now)

`events` go in, `commands` come out; nothing here opens a socket, starts a task, sleeps or reads a
clock. `machine` is the place to start reading; `listening`, `recognition`, `dialogue` and
`presence` each hold one concern of it.
"""
