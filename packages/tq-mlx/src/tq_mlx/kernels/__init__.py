"""Fused decode attention over packed codes, on GPUs: one text for CUDA and Metal, and the choice of when to run it."""
