"""The figure and the table of docs/speed, from results/{mobe,train_step,onnx_latency}.json.

    python benchmarks/speed_page.py docs/speed

Writes DIR/ratios.svg, and between their marks the table of DIR/README.md and the shorter one of the project's README.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")  # no window, no display

from matplotlib import pyplot as plt

from pedclip.eval.marks import between_marks

MARK = ("table", "benchmarks/speed_page.py")
VOLUME = ("cost", "benchmarks/speed_page.py")
ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def rows() -> list[tuple[str, dict[str, Any]]]:
    """(name, {ratio, quartiles, goal}) of every file that is there."""
    found: list[tuple[str, dict[str, Any]]] = []
    if (file := RESULTS / "mobe.json").is_file():
        found += json.loads(file.read_text(encoding="utf-8"))["comparisons"].items()
    if (file := RESULTS / "train_step.json").is_file():
        result = json.loads(file.read_text(encoding="utf-8"))
        for part in ("forward and backward", "with fused AdamW"):
            row = result[part]["plain dual encoder"]
            seconds = [result[part]["PedCLIP"]["seconds"], row["seconds"]]
            name = f"whole step of both towers, batch {result['batch']}, {part}: plain dual encoder"
            found.append((name, {"goal": result["goal"], **row, "seconds": seconds}))
    if (file := RESULTS / "onnx_latency.json").is_file():
        found += json.loads(file.read_text(encoding="utf-8"))["comparisons"].items()
    if (file := RESULTS / "volume.json").is_file():
        row = json.loads(file.read_text(encoding="utf-8"))["against_mean_of_a_loop"]
        name = f"a study of {row['slices']} slices, slice attention: mean pooling of slices in a loop"
        found.append((name, {"goal": row["goal"], **row["by_clock"]}))
    return [(name, row) for name, row in found if "goal" in row]


def volume_lines() -> str:
    """What a study of many slices costs, in a paragraph."""
    result = json.loads((RESULTS / "volume.json").read_text(encoding="utf-8"))
    memory, pair, length = (result[name] for name in ("memory", "against_mean_of_a_loop", "by_length"))
    held, clock = memory["peak_gib"], pair["by_clock"]
    missed = "" if held["slice attention"] < memory["goal"] else ", missed"
    slow = "" if clock["ratio"] <= pair["goal"] else ", missed"
    seconds = ", ".join(
        f"{n}: {one:.0f} s" for n, one in zip(length["slices"], length["processor_seconds"], strict=True)
    )
    low, high = clock["quartiles"]
    return "\n".join(
        (
            f"- {memory['slices']} slices: the process held {held['slice attention']:.2f} GiB at its most, weights, "
            f"pixels and Python included (goal {memory['goal']:g}{missed}); the plain loop "
            f"{held['mean of a loop']:.2f}.",
            f"- Against that loop with mean pooling, {pair['slices']} slices: {clock['ratio']:.3f} times as long "
            f"(quartiles {low:.3f} to {high:.3f} of {pair['pairs']} pairs; goal {pair['goal']:g}{slow}).",
            f"- Processor time by slices: {seconds}. A straight line leaves "
            f"{100 * length['unexplained_share']:.1g} % of it unexplained: {1000 * length['seconds_a_slice']:.0f} ms "
            "a slice.",
            "",
            f"ViT-B/16 with 23 experts in its last layer, {result['slices_at_once']} slices at once, "
            f"{result['threads']} threads, float32 ({result['cores']} cores, commit {result['commit']}).",
        )
    )


def table() -> str:
    """Markdown: ours over theirs, with quartiles, the goal and peak memory above the weights."""
    lines = ["| ours: compared with | ratio of times | quartiles | goal | seconds, ours and theirs | peak MiB |"]
    lines.append("|---|---|---|---|---|---|")
    for name, row in rows():
        low, high = row["quartiles"]
        peak = row.get("peak_mib")
        memory = f"{peak['ours']:.0f} and {peak['theirs']:.0f}" if peak else "-"
        seconds = " and ".join(f"{one:.3g}" for one in row["seconds"])
        reached = f"{row['goal']}" if row["ratio"] <= row["goal"] else f"{row['goal']}, missed"
        lines.append(
            f"| {name} | **{row['ratio']:.2f}** | {low:.2f} to {high:.2f} | {reached} | {seconds} | {memory} |"
        )
    return "\n".join(lines)


def short_table() -> str:
    lines = ["| compared with | ratio of times | goal |", "|---|---|---|"]
    for name, row in rows():
        reached = f"{row['goal']}" if row["ratio"] <= row["goal"] else f"{row['goal']}, missed"
        lines.append(f"| {name} | **{row['ratio']:.2f}** | {reached} |")
    return "\n".join(lines)


def plot(file: Path) -> None:
    shown = rows()
    figure, axes = plt.subplots(figsize=(9, 0.8 + 0.36 * len(shown)))
    for place, (_, row) in enumerate(shown):
        low, high = row["quartiles"]
        axes.plot([low, high], [place, place], color="#1f5fa8", linewidth=2)
        axes.plot(row["ratio"], place, "o", color="#1f5fa8", markersize=5)
        axes.plot(row["goal"], place, "|", color="#c2571a", markersize=14, markeredgewidth=2)
        axes.annotate(f"{row['ratio']:.2f}", (max(high, row["goal"]), place), (6, -3), textcoords="offset points")
    axes.axvline(1, color="#999999", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(shown)), [name for name, _ in shown], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel(
        "time, ours over the one named: median of pairs, quartiles; orange: the goal; below 1 ours is faster"
    )
    axes.spines[["top", "right"]].set_visible(False)
    with matplotlib.rc_context({"svg.hashsalt": "speed"}):
        figure.savefig(file, bbox_inches="tight", metadata={"Date": None})


def main() -> int:
    folder = Path(sys.argv[1])
    plot(folder / "ratios.svg")
    for page, lines in ((folder / "README.md", table()), (ROOT / "README.md", short_table())):
        page.write_text(between_marks(page.read_text(encoding="utf-8"), *MARK, lines), encoding="utf-8")
    page = folder.parent / "volume.md"
    page.write_text(between_marks(page.read_text(encoding="utf-8"), *VOLUME, volume_lines()), encoding="utf-8")
    print(f"wrote {folder}: {len(rows())} ratios")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
