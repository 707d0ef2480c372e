"""The subcommands that portkin_training hangs on `portkin`; each imports what it needs when it runs."""
