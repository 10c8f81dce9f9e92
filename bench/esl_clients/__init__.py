"""The clients that ``bench/esl_decode.py`` compares, each run as a process of its own.

Each is called with HOST PORT COUNT, reads COUNT events, looks at Event-Name and Unique-ID of each, and prints one
line of JSON: events, CPU seconds from the subscription on, and a checksum of what it saw, by which the bench knows
that all of them read the same.
"""
