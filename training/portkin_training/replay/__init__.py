"""What a table would have blocked: the detector, the blocker and their figures over recorded traffic."""
