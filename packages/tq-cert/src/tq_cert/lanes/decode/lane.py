"""The decode lane as a whole: the copy bandwidth, attention alone, then a model's steps."""

from tq_cert.lanes.decode.attention import attention_rows
from tq_cert.lanes.decode.copying import copy_row
from tq_cert.lanes.decode.record import DecodeRow
from tq_cert.lanes.decode.settings import DecodeSettings
from tq_cert.lanes.decode.step import step_rows
from tq_cert.lanes.models import LoadedModel
from tq_cert.progress import Progress


def decode_rows(settings: DecodeSettings, loaded: LoadedModel | None, progress: Progress) -> tuple[DecodeRow, ...]:
    """Measure everything; whole steps too, where there is a model."""
    rows: list[DecodeRow] = [copy_row(settings.device, settings.repeats, progress)]
    rows += attention_rows(settings, progress)
    rows += [] if loaded is None else step_rows(loaded, settings, progress)
    return tuple(rows)
