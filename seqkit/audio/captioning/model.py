"""The captioning model: sound encoder, adapter, memory, decoder, and one vector per clip.

What the decoder reads is a short list: the clip's vector, its most probable classes, the
adapter's frames. Any part may be missing; texts without sound give classes only. Knows
tensors; not files, words or searching.

Shape suffixes: B clips, U frames of the encoder, D width, C classes, K classes shown, M entries
of memory, L tokens, V vocabulary, W width of sentence vectors.
"""

import dataclasses
from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutput

from seqkit import errors
from seqkit.audio.captioning.conformer import ConformerAdapter
from seqkit.audio.encoders.heard import Heard
from seqkit.backbone.config import BackboneConfig
from seqkit.backbone.sequence import SequenceModel

__all__ = ["CaptionConfig", "CaptionModel", "Source"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaptionConfig:
    """Sizes of what stands behind the sound encoder."""

    vocab_size: int = 2048
    """V, of the tokenizer."""
    d_model: int = 192
    """D, of decoder and memory."""
    heads: int = 4
    """Heads of attention."""
    decoder_layers: int = 3
    """Layers of the decoder."""
    adapter_blocks: int = 2
    """Conformer blocks."""
    frame_width: int = 256
    """Width of the sound encoder's frames and vector."""
    classes: int = 527
    """C."""
    shown: int = 6
    """K."""
    sentence_width: int = 384
    """W, of the space in which clips and captions meet."""
    dropout: float = 0.1
    """In training."""
    max_tokens: int = 64
    """Longest caption, in tokens."""

    def __post_init__(self) -> None:
        """Check every field once; what the backbone checks is left to it."""
        counts = dataclasses.asdict(self)
        dropout = counts.pop("dropout")
        if min(counts.values()) < 1 or not 0 <= dropout < 1:
            raise errors.UsageError("sizes of a captioning model must be at least 1, dropout a share")

    def backbone(self) -> BackboneConfig:
        """Options of the decoder and of the layer that mixes the memory."""
        return BackboneConfig(
            vocab_size=self.vocab_size,
            d_model=self.d_model,
            heads=self.heads,
            layout="encdec",
            encoder_layers=1,
            decoder_layers=self.decoder_layers,
            dropout=self.dropout,
            max_positions=4096,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """What is known of clips.

    Attributes
    ----------
    probabilities_BC : of classes; those that are not to be shown are 0.
    frames_BUD, real_BU : the sound encoder's; None where there is no sound.
    vector_BD : the sound encoder's, or None.
    """

    probabilities_BC: torch.Tensor
    frames_BUD: torch.Tensor | None = None
    real_BU: torch.Tensor | None = None
    vector_BD: torch.Tensor | None = None

    @classmethod
    def of(cls, heard: Heard) -> "Source":
        """All that a sound encoder heard."""
        return cls(
            probabilities_BC=heard.logits_BC.sigmoid(),
            frames_BUD=heard.frames_BUD,
            real_BU=heard.real_BU,
            vector_BD=heard.vector_BD,
        )


class CaptionModel(nn.Module):
    """What a sound encoder heard, to captions.

    Examples
    --------
    >>> model = CaptionModel(CaptionConfig(vocab_size=50, d_model=16, heads=2, frame_width=8)).eval()
    >>> source = Source(probabilities_BC=torch.rand(2, 527))
    >>> model.memory(source)["inputs_embeds"].shape
    torch.Size([2, 6, 16])
    """

    def __init__(self, config: CaptionConfig) -> None:
        super().__init__()
        self.config = config
        size = config.d_model
        self.class_embedding = nn.Embedding(config.classes, size)
        self.certainty = nn.Linear(2, size)
        self.vector_in = nn.Sequential(nn.LayerNorm(config.frame_width), nn.Linear(config.frame_width, size))
        self.adapter = ConformerAdapter(
            config.frame_width, size, blocks=config.adapter_blocks, heads=config.heads, dropout=config.dropout
        )
        self.kind = nn.Embedding(3, size)
        self.decoder = SequenceModel(config.backbone())
        self.to_sentence = nn.Sequential(
            nn.LayerNorm(config.frame_width + config.classes),
            nn.Linear(config.frame_width + config.classes, 2 * config.sentence_width),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(2 * config.sentence_width, config.sentence_width),
        )

    def memory(self, source: Source) -> dict[str, torch.Tensor]:
        """Keyword arguments of the decoder's encoder: entries (B, M, D) and which are there (B, M)."""
        entries, there = self._classes(source.probabilities_BC)
        parts, masks = [entries + self.kind.weight[0]], [there]
        if source.vector_BD is not None:
            parts.append((self.vector_in(source.vector_BD) + self.kind.weight[1])[:, None])
            masks.append(source.vector_BD.abs().sum(dim=-1, keepdim=True) > 0)
        if source.frames_BUD is not None and source.real_BU is not None:
            frames_BED, real_BE = self.adapter(source.frames_BUD, source.real_BU)
            parts.append(frames_BED + self.kind.weight[2])
            masks.append(real_BE)
        mask_BM = torch.cat(masks, dim=1)
        mask_BM[:, 0] = True  # something must be there to look at
        return {"inputs_embeds": torch.cat(parts, dim=1), "attention_mask": mask_BM.long()}

    def _classes(self, probabilities_BC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The most probable classes, each with how sure it is; those of probability 0 are not there."""
        top_BK, index_BK = probabilities_BC.topk(self.config.shown, dim=-1)
        sure_BK2 = torch.stack([top_BK, top_BK.clamp(min=1e-4).log() / 5], dim=-1)
        return self.class_embedding(index_BK) + self.certainty(sure_BK2), top_BK > 0

    def spell(self, source: Source, ids_BL: torch.Tensor) -> torch.Tensor:
        """Logits (B, L, V) of what follows each of `ids_BL`, which begin with the start."""
        memory = self.memory(source)
        states: Any = self.decoder.get_encoder()(**memory).last_hidden_state
        output: Any = self.decoder(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=memory["attention_mask"],
            decoder_input_ids=ids_BL,
            use_cache=False,
        )
        return output.logits

    def place(self, source: Source) -> torch.Tensor:
        """Unit vectors (B, W) of clips in the space of sentences."""
        if source.vector_BD is None:
            raise errors.UsageError("a clip without a sound has no vector")
        both = torch.cat([source.vector_BD, source.probabilities_BC.sqrt()], dim=-1)
        return nn.functional.normalize(self.to_sentence(both), dim=-1)
