"""Small images on paper: grids with gaps, one look for all figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

INK, ACCENT, GAP = "#222222", "#c8102e", 0.15  # the gap between tiles is light grey: neither paper nor ink


def figure(
    columns: int, width: float, height: float, title: str, ratios: Sequence[float] | None = None, rows: int = 1
) -> tuple[Figure, list[Axes]]:
    """Axes under one title, row by row."""
    drawn = Figure(figsize=(width, height), layout="constrained")  # no pyplot: needs no screen and keeps no state
    axes = drawn.subplots(rows, columns, width_ratios=ratios, squeeze=False)
    drawn.suptitle(title, fontsize=13, color=INK, x=0.01, ha="left", fontweight="bold")
    return drawn, list(axes.flat)


def grid(
    axes: Axes, rows: Sequence[Tensor], levels: int, title: str, labels: Sequence[str] = (), marks: Sequence[int] = ()
) -> None:
    """Rows of images (n, H, W), dark on light, with a gap between them; a red line before the columns in `marks`."""
    tiles = [[_framed(image.double().numpy() / (levels - 1)) for image in row] for row in rows]
    picture = np.concatenate([np.concatenate(row, axis=1) for row in tiles], axis=0)
    axes.imshow(picture, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    height, width = tiles[0][0].shape
    for column in marks:
        axes.axvline(column * width - 0.5, color=ACCENT, linewidth=2)
    if labels:
        axes.set_yticks([height * (i + 0.5) - 0.5 for i in range(len(labels))], labels, fontsize=9)
        axes.tick_params(length=0)
        axes.set_xticks([])
        axes.spines[:].set_visible(False)
    else:
        axes.axis("off")
    axes.set_title(title, fontsize=10, color=INK, loc="left")


def heatmap(
    axes: Axes, values: Tensor, title: str, unit: str = "", cmap: str = "magma", at: tuple[int, int] | None = None
) -> None:
    """A table of numbers as colours, with their scale; a cross on one cell."""
    shown = axes.imshow(values.detach().double().numpy(), cmap=cmap, interpolation="nearest", vmin=0)
    bar = axes.figure.colorbar(shown, ax=axes, shrink=0.8, pad=0.03)
    bar.set_label(unit, fontsize=9)
    bar.ax.tick_params(labelsize=8)
    if at is not None:
        axes.plot(at[1], at[0], marker="x", color=ACCENT, markersize=10, markeredgewidth=2.5)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=10, color=INK, loc="left")


def photograph(axes: Axes, image: Tensor, title: str) -> None:
    """An image (C, H, W) with values in [0, 1]."""
    axes.imshow(image.clamp(0, 1).permute(1, 2, 0).numpy(), interpolation="nearest")
    axes.axis("off")
    axes.set_title(title, fontsize=10, color=INK, loc="left")


def _framed(image: np.ndarray) -> np.ndarray:
    return np.pad(image, 1, constant_values=GAP)
