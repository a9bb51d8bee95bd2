"""A small PNG writer (8 bits, gray or RGB): pictures become part of the page without an imaging library."""

import base64
import struct
import zlib

import numpy as np
import numpy.typing as npt

_COLOUR_TYPE = {1: 0, 3: 2}  # channels -> PNG colour type: gray, truecolour


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """The PNG file of uint8 pixels [H, W], [H, W, 1] or [H, W, 3] (RFC 2083)."""
    image = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in _COLOUR_TYPE or image.size == 0:
        raise ValueError(
            f"a picture is uint8 [H, W], [H, W, 1] or [H, W, 3]; this is {pixels.dtype} {pixels.shape}"
        )
    height, width, channels = image.shape
    rows = image.reshape(height, width * channels)
    filtered = np.concatenate(
        [np.zeros((height, 1), np.uint8), rows], axis=1
    )  # filter 0, "none", begins each row
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPE[channels], 0, 0, 0)
    data = zlib.compress(filtered.tobytes(), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def data_uri(pixels: npt.NDArray[np.uint8]) -> str:
    """The picture as the value of an `src` attribute."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode("ascii")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
