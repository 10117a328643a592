"""The dense-vs-tq lane: speed, peak memory and cache bytes over prompt lengths, dense beside compressed.

Every run is one of the memory lane's, in a process of its own. `record` says what is asked and found, `lane` runs
everything in turns and goes on where it was interrupted, `table` shows it.
"""
