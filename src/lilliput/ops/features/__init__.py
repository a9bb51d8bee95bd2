"""What prepares features in float32: a scale of its own for each."""

from lilliput.ops.features.scaler import Scaler as Scaler
