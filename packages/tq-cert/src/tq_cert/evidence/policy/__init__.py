"""Editions of the policy by which verdicts are derived: one file each, frozen with the release that it belongs to.

`edition.py` says what an edition holds, `freeze.py` makes one from the contract, `load.py` reads one.
"""
