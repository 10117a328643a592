"""The encode lane as a whole: codecs alone, then beside a model's decode step."""

from tq_cert.lanes.encode.measure import codec_rows
from tq_cert.lanes.encode.record import CodecRow, StepRow
from tq_cert.lanes.encode.settings import EncodeSettings
from tq_cert.lanes.encode.step import step_rows
from tq_cert.lanes.models import LoadedModel
from tq_cert.progress import Progress


def encode_rows(
    settings: EncodeSettings, loaded: LoadedModel | None, progress: Progress
) -> tuple[CodecRow | StepRow, ...]:
    """Measure every preset; beside decoding too, where there is a model."""
    codecs = codec_rows(settings, progress)
    return codecs if loaded is None else (*codecs, *step_rows(loaded, settings, progress))
