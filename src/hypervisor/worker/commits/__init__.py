"""Commits of workers that share one working tree: what is their own, as far as that can be told."""
