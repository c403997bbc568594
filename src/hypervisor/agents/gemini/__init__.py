"""Gemini CLI: how it is started, held in bounds, read and examined."""
