"""The documents that are generated from the contract: one renderer each, and how they are kept current.

`catalogue.py` lists them, `drift.py` compares and writes them, `links.py` follows their links.
A renderer is a function of the contract alone, so the same contract gives the same bytes anywhere.
"""
