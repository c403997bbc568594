"""The page on a queue: one HTML file that shows what was asked, what came out, and what is next.

It loads nothing, and its policy forbids every load. Without JavaScript it reads the same; the
script only adds filter, sort and the switch between light and dark.
"""

from __future__ import annotations

from hypervisor.views.page.render import LIMIT, render
from hypervisor.views.page.write import keep, write

__all__ = ["LIMIT", "keep", "render", "write"]
