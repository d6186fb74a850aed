"""One look for all pictures: figures, curves and dots on axes with names, grids of small images, tables as colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

INK, PAPER, GAP = "#222222", "#d9d9d9", 0.15  # the gap between tiles is light grey: neither paper nor ink
YOURS, OTHER, THIRD, ACCENT = "#0072B2", "#E69F00", "#009E73", "#D55E00"  # Okabe and Ito: told apart by every eye


def figure(
    columns: int, width: float, height: float, title: str, ratios: Sequence[float] | None = None, rows: int = 1
) -> tuple[Figure, list[Axes]]:
    """Axes under one title, row by row."""
    drawn = Figure(figsize=(width, height), layout="constrained")  # no pyplot: needs no screen and keeps no state
    axes = drawn.subplots(rows, columns, width_ratios=ratios, squeeze=False)
    drawn.suptitle(title, fontsize=13, color=INK, x=0.01, ha="left", fontweight="bold")
    return drawn, list(axes.flat)


def name(axes: Axes, title: str, x: str = "", y: str = "", legend: str = "") -> None:
    """Say what a plot shows and what its axes mean; `legend` is where the legend goes."""
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    if legend:
        axes.legend(loc=legend, fontsize=8, frameon=False)  # type: ignore[call-overload]  # any place by its name


def numbers(values: Tensor) -> np.ndarray:
    """What a student's function returned, without its graph."""
    return values.detach().double().numpy()


def shares(axes: Axes, x: Tensor, **style: Any) -> None:
    """How often each whole number comes in a sample, as bars that sum to one."""
    values = numbers(x)
    bins = [value - 0.5 for value in range(int(values.min()), int(values.max()) + 2)]
    axes.hist(values, bins=bins, density=True, rwidth=0.8, **style)


def grid(axes: Axes, rows: Sequence[Tensor], levels: int, title: str, labels: Sequence[str] = (), marks: Sequence[int] = ()) -> None:
    """Rows of images (n, H, W), dark on light, with a gap between them; a red line before the columns in `marks`."""
    tiles = [[np.pad(numbers(image) / (levels - 1), 1, constant_values=GAP) for image in row] for row in rows]
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


def heatmap(axes: Axes, values: Tensor, title: str, unit: str = "", cmap: str = "magma", at: tuple[int, int] | None = None) -> None:
    """A table of numbers as colours, with their scale; a cross on one cell."""
    shown = axes.imshow(numbers(values), cmap=cmap, interpolation="nearest", vmin=0)
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
