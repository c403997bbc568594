"""End-to-end tests: the real Claude Code and Gemini CLI, offline, against scripted models."""
