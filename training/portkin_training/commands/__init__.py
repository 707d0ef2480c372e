"""The commands that learn, replay and forecast: each imports what it needs when it runs."""

import gc

# They run once and end, and most of what they make is modules, which stay: looking for garbage among these took a
# fifteenth of their time.
gc.set_threshold(100_000, 20, 100)
