"""The plots of the results."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.forward import MODES, Forward
from benchmarks.memory import Peak
from benchmarks.post_processing import PostProcessing
from benchmarks.scaling import Cost

_WIDTH, _HEIGHT = 6.0, 3.6  # inches


def _figure(title: str, x_label: str, y_label: str) -> Figure:
    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def plot_post_processing(runs: tuple[PostProcessing, ...], path: Path) -> None:
    figure = _figure("Grouping, merging, connecting", "centres", "processor seconds")
    axes = figure.axes[0]
    axes.plot([run.centres for run in runs], [run.ours_s for run in runs], "o-", label="emserve")
    beside = [(run.centres, run.peer_s) for run in runs if run.peer_s is not None]
    if beside:
        axes.plot([each[0] for each in beside], [each[1] for each in beside], "s-", label="empanada-dl")
    axes.set_yscale("log")
    axes.set_xscale("log")
    axes.legend(frameon=False)
    figure.savefig(path)


def plot_costs(costs: tuple[Cost, ...], path: Path) -> None:
    figure = _figure("Cost per megapixel", "megapixels", "processor seconds per megapixel")
    axes = figure.axes[0]
    places = [cost.megapixels for cost in costs]
    axes.plot(places, [cost.total_s for cost in costs], "o-", label="objects and measures")
    axes.plot(places, [cost.objects_s for cost in costs], "s-", label="objects")
    axes.set_xscale("log", base=2)
    axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    figure.savefig(path)


def plot_peaks(peaks: tuple[Peak, ...], path: Path) -> None:
    figure = _figure("Peak resident memory", "side of the image, pixels", "MB")
    axes = figure.axes[0]
    names = [str(peak.side) for peak in peaks]
    axes.bar(names, [peak.peak_bytes / 1e6 for peak in peaks], label="peak")
    axes.bar(names, [peak.idle_bytes / 1e6 for peak in peaks], label="model loaded")
    axes.legend(frameon=False)
    figure.savefig(path)


def plot_forward(runs: tuple[Forward, ...], path: Path) -> None:
    figure = _figure("Forward pass", "", "processor seconds")
    axes = figure.axes[0]
    names = list(dict.fromkeys(f"{run.model}\n{run.side}" for run in runs))
    width = 0.8 / len(MODES)
    for index, mode in enumerate(MODES):
        heights = {f"{run.model}\n{run.side}": run.total_s for run in runs if run.mode == mode}
        places = [names.index(name) + (index - (len(MODES) - 1) / 2) * width for name in heights]
        axes.bar(places, list(heights.values()), width, label=mode)
    axes.set_xticks(range(len(names)), names, fontsize=mpl.rcParams["font.size"] * 0.7)
    axes.set_yscale("log")
    axes.legend(frameon=False)
    figure.savefig(path)
