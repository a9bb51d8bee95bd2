"""Products of matrices, both of which may be computed."""

from lilliput.ops.matmul.matmul import MatMul as MatMul
