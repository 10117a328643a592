"""Numbers as people read them."""


def size(nbytes: int) -> str:
    """Return bytes in three digits and a decimal unit: 999 B, 1.23 kB, 45.6 MB."""
    value, units = float(nbytes), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{nbytes} B" if units[0] == "B" else f"{value:.3g} {units[0]}"
