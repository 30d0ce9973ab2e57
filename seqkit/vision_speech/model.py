"""The audio-visual model: stems, an encoder for each modality, fusion, a joint encoder, CTC, a decoder.

Pan et al. (ACL 2022, arXiv 2203.07996), smaller, on the shared backbone. Knows tensors;
not files, texts or searching. A modality that is missing, in whole or in single
frames, is told by a learned vector in its place.

Shape suffixes: B clips, S samples, T frames (25 per second), U log-mel frames (4 to a frame),
M mel bands, H rows, W columns, D model size, V characters.
"""

import dataclasses
from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutput

from seqkit import errors
from seqkit.audio.features import LogMel, LogMelConfig
from seqkit.backbone.config import BackboneConfig
from seqkit.backbone.sequence import SequenceModel
from seqkit.backbone.stacks import Encoder
from seqkit.vision_speech.stems import MELS_PER_FRAME, AudioStem, VisualStem
from seqkit.vision_speech.texts import ALPHABET, END, PAD, START
from seqkit.vision_speech.wavestem import WaveSizes, WaveStem

__all__ = ["AUDIO_STEMS", "FPS", "RATE", "Batch", "SpeechConfig", "SpeechModel"]

#: Samples and frames per second.
RATE, FPS = 16_000, 25
#: What turns sound into vectors: convolutions over log-mel energies, or a wav2vec 2.0 model over waves.
AUDIO_STEMS = ("log-mel", "wav2vec2")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeechConfig:
    """Sizes of a model."""

    d_model: int = 192
    """D, of every encoder and the decoder."""
    heads: int = 4
    """Heads of attention."""
    feed_forward_size: int = 512
    """Width of feed-forward layers."""
    audio_layers: int = 2
    """Layers of the encoder of sounds."""
    video_layers: int = 2
    """Layers of the encoder of lips."""
    joint_layers: int = 2
    """Layers of the joint encoder."""
    decoder_layers: int = 2
    """Layers of the decoder."""
    dropout: float = 0.1
    """After sub-layers, in training."""
    visual_widths: tuple[int, ...] = (16, 32, 64, 128)
    """Channels of the visual trunk."""
    rows: int = 40
    """H of a mouth's picture."""
    columns: int = 64
    """W of a mouth's picture."""
    mels: int = 80
    """M."""
    audio_stem: str = "log-mel"
    """One of `AUDIO_STEMS`."""
    wave: WaveSizes = WaveSizes()
    """Sizes of the stem "wav2vec2"."""
    characters: str = ALPHABET
    """What texts are made of."""

    def __post_init__(self) -> None:
        """Check every field once; what the backbone checks is left to it."""
        if min(self.audio_layers, self.video_layers, self.rows, self.columns, self.mels) < 1:
            raise errors.UsageError("layers, rows, columns and mels must be at least 1")
        if len(self.visual_widths) < 2 or min(self.visual_widths) < 1:
            raise errors.UsageError("visual_widths needs at least two channel counts")
        if not self.characters or len(set(self.characters)) != len(self.characters):
            raise errors.UsageError("characters must be given, each once")
        if self.audio_stem not in AUDIO_STEMS:
            raise errors.UsageError(f"audio_stem {self.audio_stem!r} is none of {', '.join(AUDIO_STEMS)}")
        if RATE // FPS % self.wave.hop:
            raise errors.UsageError(
                f"conv_stride makes steps of {self.wave.hop} samples, which do not fill {RATE // FPS}"
            )

    def backbone(self, *, encoder_layers: int, layout: str) -> BackboneConfig:
        """Options of one of the stacks."""
        return BackboneConfig(
            vocab_size=len(self.characters) + 3,
            d_model=self.d_model,
            heads=self.heads,
            feed_forward_size=self.feed_forward_size,
            layout=layout,
            encoder_layers=encoder_layers,
            decoder_layers=self.decoder_layers,
            dropout=self.dropout,
            pad_token_id=PAD,
            bos_token_id=START,
            eos_token_id=END,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """Clips of different length, padded.

    Attributes
    ----------
    frames_B : int64; T of each clip.
    waves_BS : float32 at 16 kHz, or None for none; S is 640 T of the longest.
    mouths_BTHW : uint8, or None for none.
    heard_BT : bool; where there is sound. None: wherever the clip is.
    seen_BT : bool; where there is a mouth. None: wherever the clip is.
    """

    frames_B: torch.Tensor
    waves_BS: torch.Tensor | None = None
    mouths_BTHW: torch.Tensor | None = None
    heard_BT: torch.Tensor | None = None
    seen_BT: torch.Tensor | None = None

    @property
    def real_BT(self) -> torch.Tensor:
        """Which frames are no padding."""
        longest = int(self.frames_B.max())
        return torch.arange(longest, device=self.frames_B.device) < self.frames_B[:, None]

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        moved: dict[str, Any] = {
            name: part.to(device) for name, part in vars(self).items() if part is not None
        }
        return Batch(**moved)


class SpeechModel(nn.Module):
    """Sound and lips to characters.

    Examples
    --------
    >>> model = SpeechModel(SpeechConfig(d_model=16, heads=2, visual_widths=(4, 8))).eval()
    >>> batch = Batch(frames_B=torch.tensor([10]), waves_BS=torch.zeros(1, 6400))
    >>> states_BTD, real_BT = model.encode(batch)
    >>> states_BTD.shape, model.ctc(states_BTD).shape
    (torch.Size([1, 10, 16]), torch.Size([1, 10, 41]))
    """

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.config = config
        size = config.d_model
        self.audio_stem: AudioStem | WaveStem
        if config.audio_stem == "wav2vec2":
            self.audio_stem = WaveStem(config.wave, size, RATE // FPS, config.dropout)
        else:
            self.mel = LogMel(
                LogMelConfig(rate=RATE, n_fft=512, window=400, hop=160, mels=config.mels, fmin=20, fmax=7600)
            )
            self.audio_stem = AudioStem(config.mels, size)
        self.visual_stem = VisualStem(size, config.visual_widths)
        self.audio_encoder = _encoder(config, config.audio_layers)
        self.video_encoder = _encoder(config, config.video_layers)
        self.audio_norm, self.video_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.no_audio_D = nn.Parameter(torch.zeros(size))
        self.no_video_D = nn.Parameter(torch.zeros(size))
        self.fuse = nn.Linear(2 * size, size)
        self.joint = SequenceModel(config.backbone(encoder_layers=config.joint_layers, layout="encdec"))
        self.ctc = nn.Linear(size, len(config.characters) + 3)

    def hear(self, batch: Batch) -> torch.Tensor | None:
        """What the encoder of sounds makes of a batch, (B, T, D); None without sound."""
        if batch.waves_BS is None:
            return None
        heard_BTD = self._stemmed(batch.waves_BS, batch.real_BT)
        return _encoded(self.audio_encoder, heard_BTD, batch.real_BT)

    def _stemmed(self, waves_BS: torch.Tensor, real_BT: torch.Tensor) -> torch.Tensor:
        if isinstance(self.audio_stem, WaveStem):
            return self.audio_stem(waves_BS, real_BT)
        with torch.no_grad():
            mels_BUM = _fitted(self.mel(waves_BS), MELS_PER_FRAME * real_BT.shape[1])
        return self.audio_stem(mels_BUM, real_BT)

    def see(self, batch: Batch) -> torch.Tensor | None:
        """What the encoder of lips makes of a batch, (B, T, D); None without pictures."""
        if batch.mouths_BTHW is None:
            return None
        seen_BT = batch.real_BT if batch.seen_BT is None else batch.real_BT & batch.seen_BT
        x_BTD = self.visual_stem(normalised_mouths(batch.mouths_BTHW, seen_BT), batch.real_BT)
        return _encoded(self.video_encoder, x_BTD, batch.real_BT)

    def fused(
        self, audio_BTD: torch.Tensor | None, video_BTD: torch.Tensor | None, batch: Batch
    ) -> torch.Tensor:
        """Both modalities in one vector per frame, (B, T, D): what the joint encoder reads."""
        shape = (*batch.real_BT.shape, self.config.d_model)
        audio = _told(audio_BTD, self.audio_norm, self.no_audio_D, batch.heard_BT, shape)
        video = _told(video_BTD, self.video_norm, self.no_video_D, batch.seen_BT, shape)
        return self.fuse(torch.cat([audio, video], dim=-1))

    def source(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Keyword arguments for the joint encoder: what the decoding engine is handed."""
        x_BTD = self.fused(self.hear(batch), self.see(batch), batch)
        return {"inputs_embeds": x_BTD, "attention_mask": batch.real_BT.long()}

    def encode(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """States (B, T, D) of the joint encoder, and which are no padding (B, T)."""
        return self.joint.get_encoder()(**self.source(batch)).last_hidden_state, batch.real_BT

    def spell(self, states_BTD: torch.Tensor, real_BT: torch.Tensor, ids_BL: torch.Tensor) -> torch.Tensor:
        """The decoder's logits (B, L, V) for what follows each of `ids_BL`, which begin with the start."""
        output: Any = self.joint(
            encoder_outputs=BaseModelOutput(last_hidden_state=states_BTD),
            attention_mask=real_BT.long(),
            decoder_input_ids=ids_BL,
            use_cache=False,
        )
        return output.logits


def normalised_mouths(mouths_BTHW: torch.Tensor, seen_BT: torch.Tensor) -> torch.Tensor:
    """Pictures as numbers of mean 0 and variance 1 over all of a clip's seen frames; the others are 0."""
    x_BTHW = mouths_BTHW.float()
    weight_BT11 = seen_BT[..., None, None].float()
    count_B = (weight_BT11.sum(dim=(1, 2, 3)) * x_BTHW.shape[2] * x_BTHW.shape[3]).clamp(min=1)
    mean_B = (x_BTHW * weight_BT11).sum(dim=(1, 2, 3)) / count_B
    x_BTHW = (x_BTHW - mean_B[:, None, None, None]) * weight_BT11
    spread_B = (x_BTHW.square().sum(dim=(1, 2, 3)) / count_B).sqrt().clamp(min=1)
    return x_BTHW / spread_B[:, None, None, None]


def _encoder(config: SpeechConfig, layers: int) -> Encoder:
    """A stack that is only ever handed vectors; the embedding that it wants is never asked."""
    return Encoder(config.backbone(encoder_layers=layers, layout="encoder"), nn.Embedding(1, config.d_model))


def _encoded(encoder: Encoder, x_BTD: torch.Tensor, real_BT: torch.Tensor) -> torch.Tensor:
    return encoder(inputs_embeds=x_BTD, attention_mask=real_BT.long()).last_hidden_state


def _fitted(mels_BUM: torch.Tensor, length: int) -> torch.Tensor:
    """Exactly so many frames, silence added."""
    lacking = length - mels_BUM.shape[1]
    return nn.functional.pad(mels_BUM, (0, 0, 0, max(0, lacking)))[:, :length]


def _told(
    x_BTD: torch.Tensor | None,
    norm: nn.Module,
    absent_D: torch.Tensor,
    there_BT: torch.Tensor | None,
    shape: tuple[int, ...],
) -> torch.Tensor:
    """A modality's vectors, with the learned one wherever it is missing."""
    if x_BTD is None:
        return absent_D.expand(shape)
    normed_BTD = norm(x_BTD)
    if there_BT is None:
        return normed_BTD
    return torch.where(there_BT[..., None], normed_BTD, absent_D.to(normed_BTD.dtype))
