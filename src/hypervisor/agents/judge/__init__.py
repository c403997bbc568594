"""A second model's word on accepted reports: what it is shown, asked and answers."""

from hypervisor.agents.judge.judging import Judged, judge

__all__ = ["Judged", "judge"]
