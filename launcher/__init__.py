"""Starts Parley on one machine, and ends all of it."""
