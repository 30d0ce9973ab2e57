"""What every test may use: an untouched environment, the program in-process, tiny models, data beside it."""

import dataclasses
import functools
import os
import signal
import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from seqkit.cli import main

DEV_DATA = Path(
    os.environ.get("SEQKIT_DEV_DATA")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqkit-dev-data"
)

EXAMPLES = Path(__file__).parent.parent / "examples"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """How a run of the program ended and what it said."""

    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture(autouse=True, scope="session")
def _heed_interrupts() -> None:
    """Where tests run in the background, interrupts are ignored, and by what they start as well."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tester's settings out of the tests, and the tests out of the settings."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    monkeypatch.delenv("SEQKIT_REF", raising=False)


@pytest.fixture
def run() -> Callable[..., Result]:
    """Run the program in this process: `run("align", "reads.fq")`; an unexpected exception passes through."""

    def run_program(*arguments: str | Path, stdin: bytes | None = None) -> Result:
        result = CliRunner().invoke(main.app, [str(argument) for argument in arguments], input=stdin)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Result(exit_code=result.exit_code, stdout=result.stdout, stderr=result.stderr)

    return run_program


@pytest.fixture
def dev_data() -> Path:
    """The data beside the project; mark the test `needs_dev_data` as well."""
    if not DEV_DATA.is_dir():
        pytest.skip(f"no data beside the project: {DEV_DATA} is not there (see $SEQKIT_DEV_DATA)")
    return DEV_DATA


@pytest.fixture
def examples() -> Path:
    """The example input that comes with the project."""
    return EXAMPLES


#: What the tokenizers of tiny models are trained on.
SENTENCES = ("a dog barks and a dog howls", "rain falls on a tin roof", "birds sing in the morning") * 4
_TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def _tiny(kind: str, vocabulary: int) -> Any:
    """A random model of one kind, large enough weights making it say more than one word."""
    import transformers

    from seqkit.backbone.config import BackboneConfig
    from seqkit.backbone.sequence import SequenceModel

    sizes = {"vocab_size": vocabulary, "initializer_range": 0.3, **_TOKENS}
    if kind in ("llama", "llama-draft", "llama-dna"):
        layers = 1 if kind == "llama-draft" else 2
        config = transformers.LlamaConfig(
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=layers,
            num_attention_heads=2,
            max_position_embeddings=96,
            **sizes,
        )
        return transformers.LlamaForCausalLM(config)
    if kind == "bart":
        parts = {"layers": 2, "attention_heads": 2, "ffn_dim": 32}
        config = transformers.BartConfig(
            d_model=32,
            max_position_embeddings=96,
            decoder_start_token_id=2,
            init_std=0.3,
            vocab_size=vocabulary,
            forced_eos_token_id=None,
            tie_word_embeddings=False,
            **{f"{side}_{name}": size for side in ("encoder", "decoder") for name, size in parts.items()},
            **_TOKENS,
        )
        model = transformers.BartForConditionalGeneration(config)
        # Without this it says one word for ever.
        model.get_decoder().embed_positions.weight.data.mul_(3)
        return model
    layout = {"backbone": "decoder", "backbone-encdec": "encdec", "backbone-encoder": "encoder"}[kind]
    config = BackboneConfig(
        d_model=32, heads=2, layout=layout, encoder_layers=1, decoder_layers=2, max_positions=96, **sizes
    )
    return SequenceModel(config)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny seeded model that generates: llama, llama-draft, llama-dna, bart, backbone, ..."""

    @functools.cache
    def save(kind: str) -> Path:
        import torch

        from seqkit.models import nucleotides
        from seqkit.tokenizers.kmer import KmerTokenizer
        from seqkit.tokenizers.subword import SubwordTokenizer

        folder = tmp_path_factory.mktemp("models") / kind
        torch.manual_seed(5)
        if kind == "llama-dna":
            kmers = KmerTokenizer(k=2)
            _tiny(kind, kmers.vocab_size).save_pretrained(folder)
            nucleotides.save(kmers, folder / "tokenizer.json")
            return folder
        tokenizer = SubwordTokenizer.train(SENTENCES, vocab_size=300)
        _tiny(kind, tokenizer.vocab_size).save_pretrained(folder)
        (folder / "tokenizer.json").write_text(tokenizer.to_json())
        return folder

    return save


@pytest.fixture(scope="session")
def tiny_genomic(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The folder of a tiny seeded model: `tiny_genomic("encoder", "6mer", context=64)`."""

    @functools.cache
    def save(layout: str, tokenizer: str, context: int = 64) -> Path:
        import torch

        from seqkit.backbone.config import BackboneConfig
        from seqkit.backbone.sequence import SequenceModel
        from seqkit.models import genomic, nucleotides

        torch.manual_seed(3)
        found = nucleotides.find(tokenizer)
        network = SequenceModel(
            BackboneConfig(
                vocab_size=found.vocab_size,
                d_model=16,
                heads=2,
                layout=layout,
                encoder_layers=2,
                decoder_layers=2,
                max_positions=context,
                initializer_range=0.3,
            )
        )
        folder = tmp_path_factory.mktemp("genomic") / f"{layout}-{tokenizer}-{context}"
        genomic.save(folder, network, found, card="Made on the spot.\n")
        return folder

    return save


@pytest.fixture
def pathogen_data(tmp_path: Path) -> Path:
    """Random genomes where `seqkit bench pathogen` looks for them.

    Four viruses and four resistance genes, three variants of each; *E. coli* twice, nearly the same;
    *Salmonella* carries one of the resistance genes.
    """
    import gzip
    import io
    import random
    import tarfile

    rng = random.Random(7)

    def drawn(length: int, alphabet: str = "ACGT") -> str:
        return "".join(rng.choices(alphabet, k=length))

    def varied(sequence: str) -> str:
        return "".join(rng.choice("ACGT") if rng.random() < 0.03 else base for base in sequence)

    def fasta(sequences: list[str]) -> str:
        return "".join(f">s{number}\n{sequence}\n" for number, sequence in enumerate(sequences))

    data = tmp_path / "genomics"
    (data / "meta" / "resfinder").mkdir(parents=True)
    (data / "ref").mkdir()
    viruses = [drawn(800, "AAACGTTT") for _ in range(4)]
    genes = [drawn(400) for _ in range(4)]
    with tarfile.open(data / "meta" / "nextclade_viruses.tar.gz", "w:gz") as archive:
        for number, virus in enumerate([*viruses, ""]):
            content = fasta([varied(virus) for _ in range(3)]).replace(">s0", "> s0") if virus else ""
            content = content.replace("ACG", "A-CG", 1)
            member = tarfile.TarInfo(f"nextclade/v{number}.fasta")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    for number, gene in enumerate(genes):
        (data / "meta" / "resfinder" / f"g{number}.fsa").write_text(fasta([varied(gene) for _ in range(3)]))
    coli = drawn(3000, "ACCGGT")
    bacteria = {
        "ecoli_MG1655_GCF_000005845.2.fna": coli,
        "ecoli536_NC_008253.fa": varied(coli),
        "salmonella_GCF_000006945.1.fna": drawn(1000, "ACCGGT") + genes[0] + drawn(1000, "ACCGGT"),
        "Mtb_H37Rv.fa": drawn(3000, "ACCGGT"),
        "S_Aureus_USA300_FPR3757.fa": drawn(3000, "ACCGGT"),
    }
    for name, sequence in bacteria.items():
        (data / "ref" / f"{name}.gz").write_bytes(gzip.compress(fasta([sequence]).encode()))
    human = fasta([drawn(150_000) + 2000 * "N" + drawn(150_000)])
    (data / "ref" / "hs37_chr20.fa.gz").write_bytes(gzip.compress(human.encode(), 1))
    return data


_SOUNDS = {".mp4": "aac", ".mov": "aac", ".mpg": "mp2"}


def _write_film(
    path: Path,
    frames: Sequence[Any],
    *,
    fps: float = 25.0,
    times: Sequence[float] | None = None,
    wave_S: Any = None,
    codec: str = "mpeg4",
    sound_at: float = 0.0,
    turned: bool = False,
) -> Path:
    """Write a video of grey frames (H, W), uint8, and a wave at 16 kHz.

    `times`, in seconds, make its rate vary. `turned` writes the matrix of a phone that was held upright:
    players turn such frames by a quarter.
    """
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        video = sound = None
        if len(frames):
            video = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
            video.height, video.width = frames[0].shape
            video.pix_fmt = "yuv420p"
            video.bit_rate = 4_000_000
            ticks = 1 / Fraction(fps).limit_denominator(1001) if times is None else Fraction(1, 1000)
            video.codec_context.time_base = ticks
        if wave_S is not None:
            sound = container.add_stream(_SOUNDS.get(path.suffix, "pcm_s16le"), rate=16_000)
            sound.layout = "mono"
        for number, grey_HW in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(grey_HW, format="gray").reformat(format="yuv420p")
            frame.pts = number if times is None else round(times[number] * 1000)
            frame.time_base = ticks
            container.mux(video.encode(frame))
        if video is not None:
            container.mux(video.encode())
        if sound is not None:
            samples_S = (np.clip(wave_S, -1, 1) * 32767).astype(np.int16)
            for start in range(0, len(samples_S), 1024):
                piece = av.AudioFrame.from_ndarray(
                    samples_S[None, start : start + 1024], format="s16", layout="mono"
                )
                piece.sample_rate, piece.pts = 16_000, start + round(sound_at * 16_000)
                piece.time_base = Fraction(1, 16_000)
                container.mux(sound.encode(piece))
            container.mux(sound.encode())
    if turned:
        _turn(path)
    return path


def _turn(path: Path) -> None:
    """Write a quarter turn into the header of an MP4's video track."""
    written = bytearray(path.read_bytes())
    place = written.index(b"tkhd") + 4 + 40
    matrix = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    written[place : place + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(written)


@pytest.fixture
def film() -> Callable[..., Path]:
    """Write a video: `film(path, frames, wave_S=wave)`."""
    return _write_film
