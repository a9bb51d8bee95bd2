"""Plan -> C99: the only place that formats C."""

from lilliput.emit.model import Emitted as Emitted
from lilliput.emit.model import Golden as Golden
from lilliput.emit.model import constants_of as constants_of
from lilliput.emit.model import emit as emit
from lilliput.emit.model import emit_many as emit_many
from lilliput.emit.model import inputs_of as inputs_of
from lilliput.emit.model import layer_names as layer_names
from lilliput.emit.model import random_inputs as random_inputs
