"""Certification, evidence and benchmarks of TurboQuant for MLX."""
