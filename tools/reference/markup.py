"""How the page is written: tables, code, sentences."""

from __future__ import annotations


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
                     for row in lines)  # fmt: skip


def code(text: object) -> str:
    return f"`{text}`"


def sentence(text: str) -> str:
    text = " ".join(text.split())
    return text[0].upper() + text[1:].rstrip(".") + "."
