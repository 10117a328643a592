"""Numbers on the command line: each type reads one, and says what was wrong with it."""

import argparse
from math import isfinite

LAST_PORT = 65535


def positive(text: str) -> int:
    """Read a whole number from 1 on."""
    return whole(text, 1)


def natural(text: str) -> int:
    """Read a whole number from 0 on."""
    return whole(text, 0)


def port(text: str) -> int:
    """Read a TCP port."""
    value = whole(text, 1)
    if value > LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: the last one is {LAST_PORT}")
    return value


def gigabytes(text: str) -> int:
    """Read a positive number of 10^9 bytes; return bytes."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no amount of memory: use gigabytes, such as 8 or 0.5")
    return round(value * 1e9)


def temperature(text: str) -> float:
    """Read a number from 0 on."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no temperature: use 0 (greedy) or more, such as 0.7")
    return value


def whole(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} on")
    return value
