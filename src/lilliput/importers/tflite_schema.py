"""The TensorFlow Lite file format as data: enums, field slots, and the options of each operator.

Source: the published schema (tensorflow/compiler/mlir/lite/schema/schema.fbs, schema version 3). Numbers
are the file format's; option names are the schema's, shortened where the long form says nothing more
(`fused_activation_function` is `fused_activation` here, `dilation_w_factor` is `dilation_w`).
"""

from __future__ import annotations

from dataclasses import dataclass


def _names(text: str) -> tuple[str, ...]:
    """Names in the order of their numbers in the file."""
    return tuple(text.split())


FILE_IDENTIFIER = b"TFL3"
VERSION = 3

# Index = the number in the file. Types that no microcontroller model holds (strings, complex, resources)
# have no size.
TENSOR_TYPES = _names("""
    float32 float16 int32 uint8 int64 string bool int16 complex64 int8 float64 complex128 uint64 resource
    variant uint32 uint16 int4 bfloat16 int2 uint4
""")

# Storage in the file; int4 is two to a byte, low half first, and is handled by its reader.
NUMPY_TYPES = {
    "float32": "<f4",
    "float16": "<f2",
    "float64": "<f8",
    "int8": "<i1",
    "int16": "<i2",
    "int32": "<i4",
    "int64": "<i8",
    "uint8": "<u1",
    "uint16": "<u2",
    "uint32": "<u4",
    "uint64": "<u8",
    "bool": "<u1",
    "int4": "<u1",
}
INTEGER_RANGES = {
    "int4": (-8, 7),
    "int8": (-(1 << 7), (1 << 7) - 1),
    "uint8": (0, (1 << 8) - 1),
    "int16": (-(1 << 15), (1 << 15) - 1),
    "uint16": (0, (1 << 16) - 1),
    "int32": (-(1 << 31), (1 << 31) - 1),
    "uint32": (0, (1 << 32) - 1),
    "int64": (-(1 << 63), (1 << 63) - 1),
    "uint64": (0, (1 << 64) - 1),
}

# Index = the builtin operator code.
OPERATORS = _names("""
    ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE
    EMBEDDING_LOOKUP FLOOR FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D
    LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6
    RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM
    EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND
    TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN
    EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX
    MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV
    SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT
    REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV
    REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU
    SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU
    REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE
    NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL
    PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS
    HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE
    READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM
    MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX
    UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT
""")
CUSTOM = OPERATORS.index("CUSTOM")

PADDING = ("SAME", "VALID")
ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")
MIRROR_MODES = ("REFLECT", "SYMMETRIC")
WEIGHT_FORMATS = ("DEFAULT", "SHUFFLED4x16INT8")
LSTM_KERNELS = ("FULL", "BASIC")


@dataclass(frozen=True)
class Option:
    """One field of an options table: its slot, what it holds, and its value when absent.

    `kind` is "int", "size" (an int that must be at least 1), "float", "bool", "ints" (a vector) or "enum"
    (one of `names`).
    """

    name: str
    slot: int
    kind: str
    default: int | float | bool | tuple[int, ...] = 0
    names: tuple[str, ...] = ()


def _activation(slot: int) -> Option:
    return Option("fused_activation", slot, "enum", names=ACTIVATIONS)


def _padding(slot: int) -> Option:
    return Option("padding", slot, "enum", names=PADDING)


def _flag(name: str, slot: int, default: bool = False) -> Option:
    return Option(name, slot, "bool", default)


def _int(name: str, slot: int) -> Option:
    return Option(name, slot, "int")


def _size(name: str, slot: int, default: int = 0) -> Option:
    return Option(name, slot, "size", default)


def _dtype(name: str, slot: int) -> Option:
    return Option(name, slot, "enum", names=TENSOR_TYPES)


_POOL = (
    _padding(0),
    _size("stride_w", 1),
    _size("stride_h", 2),
    _size("filter_width", 3),
    _size("filter_height", 4),
    _activation(5),
)
_STRIDES = (_padding(0), _size("stride_w", 1), _size("stride_h", 2))
_SUM = (_activation(0), _flag("pot_scale_int16", 1, True))
_REDUCE = (_flag("keep_dims", 0),)
_UNROLL = (_activation(0), Option("cell_clip", 1, "float"), Option("proj_clip", 2, "float"))

# Operator -> (number of its table in the BuiltinOptions union, its fields). An operator that is not listed
# has no options, or none that are read here; whether it can be compiled is not for the reader to say.
OPTIONS: dict[str, tuple[int, tuple[Option, ...]]] = {
    "CONV_2D": (1, (*_STRIDES, _activation(3), _size("dilation_w", 4, 1), _size("dilation_h", 5, 1))),
    "DEPTHWISE_CONV_2D": (
        2,
        (
            *_STRIDES,
            _int("depth_multiplier", 3),
            _activation(4),
            _size("dilation_w", 5, 1),
            _size("dilation_h", 6, 1),
        ),
    ),
    "AVERAGE_POOL_2D": (5, _POOL),
    "MAX_POOL_2D": (5, _POOL),
    "L2_POOL_2D": (5, _POOL),
    "SVDF": (6, (_int("rank", 0), _activation(1), _flag("asymmetric_quantize_inputs", 2))),
    "FULLY_CONNECTED": (
        8,
        (
            _activation(0),
            Option("weights_format", 1, "enum", names=WEIGHT_FORMATS),
            _flag("keep_num_dims", 2),
            _flag("asymmetric_quantize_inputs", 3),
        ),
    ),
    "SOFTMAX": (9, (Option("beta", 0, "float"),)),
    "CONCATENATION": (10, (_int("axis", 0), _activation(1))),
    "ADD": (11, _SUM),
    "L2_NORMALIZATION": (12, (_activation(0),)),
    "LOCAL_RESPONSE_NORMALIZATION": (
        13,
        (
            _int("radius", 0),
            Option("bias", 1, "float"),
            Option("alpha", 2, "float"),
            Option("beta", 3, "float"),
        ),
    ),
    "LSTM": (
        14,
        (
            *_UNROLL,
            Option("kernel_type", 3, "enum", names=LSTM_KERNELS),
            _flag("asymmetric_quantize_inputs", 4),
        ),
    ),
    "RESIZE_BILINEAR": (15, (_flag("align_corners", 2), _flag("half_pixel_centers", 3))),
    "RESHAPE": (17, (Option("new_shape", 0, "ints", ()),)),
    "SPACE_TO_DEPTH": (19, (_size("block_size", 0),)),
    "MUL": (21, (_activation(0),)),
    "GATHER": (23, (_int("axis", 0), _int("batch_dims", 1))),
    "MEAN": (27, _REDUCE),
    "SUM": (27, _REDUCE),
    "REDUCE_PROD": (27, _REDUCE),
    "REDUCE_MAX": (27, _REDUCE),
    "REDUCE_MIN": (27, _REDUCE),
    "REDUCE_ANY": (27, _REDUCE),
    "REDUCE_ALL": (27, _REDUCE),
    "SUB": (28, _SUM),
    "DIV": (29, (_activation(0),)),
    "SQUEEZE": (30, (Option("squeeze_dims", 0, "ints", ()),)),
    "STRIDED_SLICE": (
        32,
        (
            _int("begin_mask", 0),
            _int("end_mask", 1),
            _int("ellipsis_mask", 2),
            _int("new_axis_mask", 3),
            _int("shrink_axis_mask", 4),
            _flag("offset", 5),
        ),
    ),
    "SPLIT": (35, (_size("num_splits", 0),)),
    "CAST": (37, (_dtype("in_data_type", 0), _dtype("out_data_type", 1))),
    "ARG_MAX": (40, (_dtype("output_type", 0),)),
    "TRANSPOSE_CONV": (49, (*_STRIDES, _activation(3))),
    "SHAPE": (55, (_dtype("out_type", 0),)),
    "ARG_MIN": (57, (_dtype("output_type", 0),)),
    "PACK": (59, (_size("values_count", 0), _int("axis", 1))),
    "ONE_HOT": (61, (_int("axis", 0),)),
    "UNPACK": (64, (_size("num", 0), _int("axis", 1))),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (
        71,
        (
            *_UNROLL,
            _flag("time_major", 3),
            _flag("asymmetric_quantize_inputs", 4),
            _flag("diagonal_recurrent_tensors", 5),
        ),
    ),
    "RESIZE_NEAREST_NEIGHBOR": (74, (_flag("align_corners", 0), _flag("half_pixel_centers", 1))),
    "LEAKY_RELU": (75, (Option("alpha", 0, "float"),)),
    "MIRROR_PAD": (77, (Option("mode", 0, "enum", names=MIRROR_MODES),)),
    "SPLIT_V": (79, (_size("num_splits", 0),)),
    "REVERSE_SEQUENCE": (87, (_int("seq_dim", 0), _int("batch_dim", 1))),
    "DEPTH_TO_SPACE": (94, (_size("block_size", 0),)),
    "BATCH_MATMUL": (101, (_flag("adj_x", 0), _flag("adj_y", 1), _flag("asymmetric_quantize_inputs", 2))),
    "CUMSUM": (102, (_flag("exclusive", 0), _flag("reverse", 1))),
    "GELU": (116, (_flag("approximate", 0),)),
}
