"""--research: the opt-in to a research-only family, the same on every command that compresses."""

import argparse


def add_research(parser: argparse.ArgumentParser) -> None:
    """Declare the option."""
    parser.add_argument(
        "--research",
        action="store_true",
        help="compress a model of a family that the contract lists as research-only, without evidence for its quality",
    )
