"""Augmentation of whole batches as tensor operations: one warp (affine and elastic) and additive noise."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from lilliput.train.config import Augment


def augment(x: torch.Tensor, how: Augment, generator: torch.Generator) -> torch.Tensor:
    """A batch (N, C, H, W) moved at random; pixels from outside repeat the border."""
    if how.warps:
        grid = functional.affine_grid(_affine(x, how, generator), list(x.shape), align_corners=False)
        if how.elastic:
            grid = grid + _elastic(x, how, generator)
        x = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    if how.noise:
        x = x + how.noise * torch.randn(x.shape, generator=generator)
    return x


def _affine(x: torch.Tensor, how: Augment, generator: torch.Generator) -> torch.Tensor:
    """Matrices (N, 2, 3) from output to input positions, -1 to 1 over the image as affine_grid has it."""
    count, height, width = x.shape[0], x.shape[2], x.shape[3]
    draw = torch.rand((7, count), generator=generator) * 2 - 1
    angle = draw[0] * math.radians(how.rotate)
    size_x, size_y = 1 + draw[1] * how.scale, 1 + draw[2] * how.scale
    slant = torch.tan(draw[3] * math.radians(how.shear))
    mirror = torch.where(draw[6] < 0, -1.0, 1.0) if how.flip else torch.ones(count)
    cos, sin = torch.cos(angle), torch.sin(angle)
    matrix = torch.empty(count, 2, 3)
    # Rotation . shear . scale; the aspect ratio keeps a rotation of an oblong image a rotation in pixels.
    matrix[:, 0, 0] = mirror * cos / size_x
    matrix[:, 0, 1] = (cos * slant - sin) / size_y * (height / width)
    matrix[:, 1, 0] = mirror * sin / size_x * (width / height)
    matrix[:, 1, 1] = (sin * slant + cos) / size_y
    matrix[:, 0, 2] = draw[4] * how.shift * 2 / width
    matrix[:, 1, 2] = draw[5] * how.shift * 2 / height
    return matrix


def _elastic(x: torch.Tensor, how: Augment, generator: torch.Generator) -> torch.Tensor:
    """A smooth displacement field (N, H, W, 2): random control points, interpolated with cubics."""
    count, height, width = x.shape[0], x.shape[2], x.shape[3]
    rows, columns = (max(2, round(side / how.elastic_cell)) for side in (height, width))
    points = torch.randn((count, 2, rows, columns), generator=generator) * how.elastic
    field = functional.interpolate(points, size=(height, width), mode="bicubic", align_corners=True)
    return field.permute(0, 2, 3, 1) * torch.tensor([2 / width, 2 / height])
