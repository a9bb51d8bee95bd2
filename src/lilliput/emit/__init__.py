"""Plan -> C99: the only place that formats C."""

from lilliput.emit.model import Emitted as Emitted
from lilliput.emit.model import emit as emit
from lilliput.emit.model import emit_many as emit_many
