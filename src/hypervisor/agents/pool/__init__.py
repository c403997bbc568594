"""A pool of headless agents on one queue: started, watched, ended whole, and started again.

The ledger holds all that matters, so a pool may be stopped, killed or lose its terminal at any
time.
"""
