"""What is right with this machine, this project and its clients, and what mends what is not.

No model is asked and nothing is changed. Every question to another program has a time limit.
"""

from hypervisor.agents.doctor.examination import examine
from hypervisor.agents.finding import Finding, State

__all__ = ["Finding", "State", "examine"]
