"""A bundle from anywhere to a report on it, offline and without MLX: `verify.py` goes through the steps in order."""
