"""The memory lane: peak memory and cache bytes of one generation, dense and with each preset.

Each method runs in a process of its own (`generation`), because a peak belongs to a process. `lane` starts them and
reads what they print; `table` shows it.
"""
