"""The contract's presets on the command line."""

import argparse

import tq_contract
from tq_mlx.config import TurboQuantConfig
from tq_mlx.errors import ConfigError

ORDER = ("supported", "paper-facing", "compatibility-only", "research-only")


def add_preset(parser: argparse.ArgumentParser) -> None:
    """Add the option for one preset."""
    parser.add_argument("--preset", metavar="NAME", help="preset of the contract; leave it out for a list")


def named_config(preset: str | None) -> TurboQuantConfig:
    """Return the preset of that name; ConfigError lists them if there is no name, UnknownPresetError if it is none."""
    if preset is None:
        presets = {preset.name: preset for preset in tq_contract.load().presets}
        listed = [f"  {name:<18} {presets[name].classification}: {presets[name].summary}" for name in preset_names()]
        raise ConfigError("\n".join(["name a preset with --preset:", *listed]))
    return TurboQuantConfig.from_preset(preset)


def preset_names() -> list[str]:
    """Return the contract's presets, ours first."""
    presets = tq_contract.load().presets
    return [preset.name for preset in sorted(presets, key=lambda preset: ORDER.index(preset.classification))]
