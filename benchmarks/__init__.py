"""Benchmarks: each is one command that prints one JSON line, and measures both sides of its ratio in one run."""
