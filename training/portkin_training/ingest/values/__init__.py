"""From values as files hold them (text, integers, timestamps) to the columns of probes, a block at a time."""
