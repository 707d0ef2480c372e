"""The log formats that are read: a file for each, which says how to recognise it and what its records mean."""
