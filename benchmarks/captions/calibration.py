"""How often captions of clips never trained on name the source, and whether their score tells when.

    python benchmarks/captions/calibration.py --manifest MANIFEST [--model FOLDER] [--page PAGE]

Scores are measured twice: as the model's folder has them, and fitted anew (Platt) on one half of the clips
and measured on the other, in turn. Sounds that mean nothing show what it does there: noise and tones, of
which the shipped model learned such, and others of kinds that it never heard.
Beside it: the tagger's best label in a template, judged by the same words. Where the folder's own
calibration was fitted on these clips, only the second figure means anything.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import matplotlib
import naming
import numpy as np
import saving
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from seqkit.audio.captioning import describer, folder
from seqkit.audio.evaluation import report
from seqkit.io import atomic

matplotlib.use("Agg")
from matplotlib.figure import Figure  # the backend must be chosen first

BINS = 5
#: Whose captions name the source: the model's, those it is sure enough of to tell, the template's.
NAMED = {
    "right": "caption names it (%)",
    "told_right": "and is told, not something general (%)",
    "template_right": "template names it (%)",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judged:
    """A clip with its caption: what it scored before calibration, whether it is right, and is also told."""

    clip: naming.Clip
    text: str
    cosine: float
    heard: float
    score: float
    right: bool
    told_right: bool
    template_right: bool


def main() -> None:
    parser = saving.parser(__doc__, "calibration")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--model", default=describer.DEFAULT)
    parser.add_argument("--most", type=int, help="clips at most, for a quick look")
    parser.add_argument("--into", type=Path, help="write what was fitted on all into this model's folder")
    parser.add_argument(
        "--least", type=float, default=0.4, help="with --into: below it, say something general"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    own = describer.load(arguments.model)
    clips = [*naming.held_out(arguments.manifest), *naming.held_out_effects(arguments.manifest)]
    clips = clips[:: max(1, len(clips) // arguments.most)] if arguments.most else clips
    judged = judge(own, clips)
    fitted = refitted(judged)
    calibration = dataclasses.replace(platt(judged), least=arguments.least)
    told = {
        "kind": "captions-calibration",
        "model": Path(arguments.model).name,
        "naming": naming_rates(judged),
        "own": measures(judged, [one.score for one in judged]),
        "fitted on the other half": measures(judged, fitted),
        "fitted on all": dataclasses.asdict(calibration),
        "unknown": unknown(own, clips),
        "clips": [{**dataclasses.asdict(one), "clip": one.clip.file.name} for one in judged],
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw(judged, fitted, arguments.out / "reliability.png")
    saving.save(arguments, told, as_text(told))
    if arguments.into:
        settle(arguments.into / "config.json", **dataclasses.asdict(calibration))


def settle(path: Path, **fitted: float) -> None:
    """Write a calibration into a model's config."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config["calibration"] = {name: round(value, 4) for name, value in fitted.items()}
    with atomic.atomic_file(path) as file:
        file.write(json.dumps(config, indent=1).encode() + b"\n")


def judge(own: describer.CaptionDescriber, clips: list[naming.Clip]) -> list[Judged]:
    """Captions of clips without the model's caution, so that what it would say is what is judged."""
    # Its logit is the encoder's probability of the class that a caption names.
    plain = folder.Calibration(slope=0.0, named=1.0)
    bare = describer.CaptionDescriber(dataclasses.replace(own.parts, calibration=plain), own.config)
    found = []
    for clip in clips:
        [wave_S] = naming.waves_of([clip], own.rate, 10.0)
        best = bare.describe([wave_S])[0][0]
        assert best.logprob is not None and best.similarity is not None
        weights = own.config.ranking
        rank = weights.likelihood * best.logprob + weights.similarity * best.similarity
        heard = math.log(best.score / (1 - best.score))
        told = own.parts.calibration
        score = told.probability(rank=rank, cosine=best.similarity, heard=heard)
        right = naming.is_right(clip, best.text)
        found.append(
            Judged(
                clip=clip,
                text=best.text,
                cosine=best.similarity,
                heard=heard,
                score=score,
                right=right,
                told_right=right and score >= told.least,
                template_right=naming.is_right(clip, naming.tagged(own.parts.encoder, [wave_S])[0]),
            )
        )
    return found


def platt(judged: list[Judged]) -> folder.Calibration:
    """What makes a probability of cosines and of probabilities of named classes."""
    # They lie within a few tenths: a penalty on the slopes would press all probabilities together.
    fit = LogisticRegression(C=1e6, max_iter=1000).fit(
        [[one.cosine, one.heard] for one in judged], [one.right for one in judged]
    )
    similarity, named = (float(slope) for slope in fit.coef_[0])
    return folder.Calibration(slope=0.0, similarity=similarity, named=named, offset=float(fit.intercept_[0]))


def refitted(judged: list[Judged]) -> list[float]:
    """Scores by a calibration that did not see the clip: every label's clips are split in turn."""
    order = sorted(
        range(len(judged)),
        key=lambda place: (judged[place].clip.source, judged[place].clip.label, judged[place].clip.file.name),
    )
    half = {place: number % 2 for number, place in enumerate(order)}
    fits = [platt([one for place, one in enumerate(judged) if half[place] != side]) for side in (0, 1)]
    return [
        fits[half[place]].probability(rank=0.0, cosine=one.cosine, heard=one.heard)
        for place, one in enumerate(judged)
    ]


def measures(judged: list[Judged], scores: list[float]) -> dict[str, float | None]:
    """Brier score, expected calibration error over bins of equal size, and the area under the ROC curve."""
    right_N, scores_N = np.array([one.right for one in judged], dtype=float), np.array(scores)
    gaps = [
        len(places) * abs(right_N[places].mean() - scores_N[places].mean())
        for places in np.array_split(np.argsort(scores_N, kind="stable"), BINS)
        if len(places)
    ]
    area = float(roc_auc_score(right_N, scores_N)) if len(set(right_N)) == 2 else None
    return {
        "mean score": float(scores_N.mean()),
        "right": float(right_N.mean()),
        "Brier": float(np.mean((scores_N - right_N) ** 2)),
        "calibration error": float(sum(gaps) / len(right_N)),
        "AUROC": area,
    }


def naming_rates(judged: list[Judged]) -> dict[str, Any]:
    """Shares of right captions by source, of the model and of the template, with intervals."""
    found = {}
    for source in sorted({one.clip.source for one in judged}):
        own = [one for one in judged if one.clip.source == source]
        rates = {
            name: report.difference([float(getattr(one, name)) for one in own], [0.0] * len(own))
            for name in NAMED
        }
        found[source] = {
            "clips": len(own),
            **{name: dataclasses.asdict(rate) for name, rate in rates.items()},
        }
    return found


def unknown(own: describer.CaptionDescriber, clips: list[naming.Clip]) -> list[dict[str, Any]]:
    """Captions and scores of sounds that were made, and mean nothing."""
    rng, time_S = np.random.default_rng(0), np.arange(5 * own.rate) / own.rate
    sounds = {
        "white noise": rng.normal(size=len(time_S)) * 0.1,
        "brown noise": np.cumsum(rng.normal(size=len(time_S))) * 1e-3,
        "noise in reverse bursts": rng.normal(size=len(time_S)) * 0.2 * (3 * time_S % 1) ** 4,
        "a tone of 440 Hz": 0.2 * np.sin(2 * np.pi * 440 * time_S),
        "a sweep": 0.2 * np.sin(2 * np.pi * (100 + 400 * time_S) * time_S),
        "random tones": 0.1 * sum(np.sin(2 * np.pi * f * time_S) for f in rng.uniform(50, 8000, size=12)),
        "frequency modulation": 0.2 * np.sin(2 * np.pi * 700 * time_S + 40 * np.sin(2 * np.pi * 31 * time_S)),
        "random pitches, 20 a second": melody(rng, time_S),
        **{
            f"{clip.label}, its grains of 20 ms shuffled": grains(clip, own.rate, rng)
            for clip in first(clips)
        },
    }
    rows = []
    for name, wave_S in sounds.items():
        said = own.describe([wave_S.astype(np.float32)])[0][0]
        rows.append({"sound": name, "text": said.text, "score": said.score})
    return rows


def melody(rng: np.random.Generator, time_S: np.ndarray) -> np.ndarray:
    """A pitch drawn anew for every twentieth of a second."""
    pitch_S = 100 * 60 ** rng.random(int(20 * time_S[-1]) + 1)[(20 * time_S).astype(int)]
    return np.asarray(0.2 * np.sin(2 * np.pi * np.cumsum(pitch_S) * time_S[1]))


def first(clips: list[naming.Clip]) -> list[naming.Clip]:
    """One clip of each of some labels."""
    labels = ("dog-bark", "rooster", "clock-tick", "siren")
    found = {clip.label: clip for clip in reversed(clips) if clip.label in labels}
    return [found[label] for label in labels if label in found]


def grains(clip: naming.Clip, rate: int, rng: np.random.Generator) -> np.ndarray:
    """A clip in pieces of 20 ms, each faded in and out, in another order."""
    [wave_S] = naming.waves_of([clip], rate, 5.0)
    size = rate // 50
    pieces = wave_S[: len(wave_S) - len(wave_S) % size].reshape(-1, size) * np.hanning(size)
    return np.asarray(rng.permutation(pieces).ravel())


def draw(judged: list[Judged], fitted: list[float], path: Path) -> None:
    """Shares of right captions against mean scores, in bins of equally many clips."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="a probability")
    right_N = np.array([one.right for one in judged], dtype=float)
    for name, scores in (("as shipped", [one.score for one in judged]), ("fitted on the other half", fitted)):
        scores_N = np.array(scores)
        bins = [places for places in np.array_split(np.argsort(scores_N, kind="stable"), BINS) if len(places)]
        shares = [right_N[places].mean() for places in bins]
        errors = [1.96 * np.sqrt(max(p * (1 - p), 1e-9) / len(b)) for p, b in zip(shares, bins, strict=True)]
        axes.errorbar(
            [scores_N[places].mean() for places in bins], shares, errors, marker="o", capsize=3, label=name
        )
    axes.set(xlabel="score", ylabel="share of captions that name the source", xlim=(0, 1), ylim=(-0.05, 1.05))
    axes.legend()
    figure.savefig(path, dpi=100)


def as_text(told: dict[str, Any]) -> str:
    rates = [
        [
            source,
            str(found["clips"]),
            *(saving.shown(report.Score(**found[name]), 100, 1) for name in NAMED),
        ]
        for source, found in told["naming"].items()
    ]
    quality = [
        [name, *("-" if value is None else f"{value:.3f}" for value in told[key].values())]
        for name, key in (("as shipped", "own"), ("fitted on the other half", "fitted on the other half"))
    ]
    made = [[one["sound"], one["text"], f"{one['score']:.2f}"] for one in told["unknown"]]
    fit = told["fitted on all"]
    return "\n".join(
        [
            saving.table(["source", "clips", *NAMED.values()], rates),
            saving.table(["score", *told["own"]], quality),
            f"Fitted on all of these clips: {fit['similarity']:.3f} x cosine + {fit['named']:.3f} x "
            f"probability of the surest class that is named {fit['offset']:+.3f}.",
            "",
            "![Shares of right captions against scores](reliability.png)",
            "",
            saving.table(["sound that means nothing", "caption", "score"], made),
        ]
    )


if __name__ == "__main__":
    main()
