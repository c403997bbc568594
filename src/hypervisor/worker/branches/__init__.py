"""Work on branches: each claim gets a branch and a working tree of its own.

A branch is named `hypervisor/<id>/<token>`, so that what lies in the repository can be held
against the ledger: only what the ledger accepted is ever merged.
"""
