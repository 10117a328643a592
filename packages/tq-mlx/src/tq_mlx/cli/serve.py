"""tq-mlx serve: mlx-lm's server with compressed caches, batching included.

Options of mlx_lm.server other than those below follow a --, such as: tq-mlx serve … -- --max-tokens 1024
"""

import argparse
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tq_contract.exit_code import ExitCode
from tq_core import TurboQuantError
from tq_mlx.cli.advice import advise_on_speed
from tq_mlx.cli.arguments import port
from tq_mlx.cli.model import add_model, cannot_load, is_path, read_config
from tq_mlx.cli.presets import add_preset, named_config
from tq_mlx.cli.research import add_research
from tq_mlx.errors import ConfigError
from tq_mlx.serving import Compression, check_address, run_server
from tq_mlx.support import admit_family, family_of


def add_to(subcommands: Any) -> None:
    """Add the subcommand's parser."""
    parser = subcommands.add_parser("serve", help="serve a model over HTTP", description=__doc__)
    add_model(parser)
    add_preset(parser)
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="HOST", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument("--port", type=port, default=8080, metavar="PORT", help="port (default: %(default)s)")
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="text, UTF-8, from whose keys a preset's key bits are chosen (default: some prose of ours)",
    )
    add_research(parser)
    parser.add_argument("server_options", nargs="*", metavar="-- OPTION", help="options of mlx_lm.server")
    parser.set_defaults(run=serve)


def serve(options: argparse.Namespace) -> int:
    """Run the subcommand until it is interrupted."""
    config = named_config(options.preset)
    calibration = calibration_text(options.calibration)
    if is_path(options.model):  # what can be refused at once is, before a server listens
        model_type = read_config(options.model).get("model_type")
        admit_family(family_of(SimpleNamespace(model_type=model_type)), research=options.research)
    check_address(options.host, options.port)
    advise_on_speed()
    arguments = ["--model", options.model, "--host", options.host, "--port", str(options.port)]
    try:
        run_server([*arguments, *options.server_options], Compression(config, calibration, options.research))
    except TurboQuantError:
        raise
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise cannot_load(options.model, error) from error
    return ExitCode.GOOD


def calibration_text(file: Path | None) -> str:
    """Return the text of the file, or our own."""
    if file is None:
        return files("tq_mlx").joinpath("calibration.txt").read_text("utf-8")
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text: {error}") from error
