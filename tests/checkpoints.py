"""Tiny checkpoints of transformers that read sound, made on the spot, with tokenizers of their own."""

import json
from pathlib import Path

import tokenizers
import torch
import transformers
from tokenizers import decoders, models, pre_tokenizers, trainers

SPECIALS = ["<|endoftext|>", "<|startoftranscript|>", "<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>"]

#: Sizes of the smallest wav2vec 2.0.
WAV2VEC2 = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}


def byte_pairs() -> tokenizers.Tokenizer:
    """A byte-level tokenizer of a few words."""
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(["rain falls", "a dog barks"] * 5, trainer)
    return made


def fast_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """The same, as transformers holds it."""
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=byte_pairs(), eos_token=SPECIALS[0], pad_token=SPECIALS[0]
    )


def whisper(folder: Path) -> Path:
    """A Whisper that hears two seconds."""
    tokenizer = transformers.WhisperTokenizerFast(tokenizer_object=byte_pairs())
    features = transformers.WhisperFeatureExtractor(feature_size=8, sampling_rate=16_000, chunk_length=2)
    transformers.WhisperProcessor(features, tokenizer).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        vocab_size=300,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_mel_bins=8,
        max_source_positions=100,
        max_target_positions=32,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=1,
        begin_suppress_tokens=None,
    )
    transformers.WhisperForConditionalGeneration(config).save_pretrained(folder)
    return folder


def qwen2_audio(folder: Path) -> Path:
    """A Qwen2-Audio: a small encoder of sounds before a small language model."""
    tokenizer = fast_tokenizer()
    features = transformers.WhisperFeatureExtractor(feature_size=8, sampling_rate=16_000, chunk_length=2)
    processor = transformers.Qwen2AudioProcessor(features, tokenizer)
    processor.save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.Qwen2AudioConfig(
        audio_config={
            "model_type": "qwen2_audio_encoder",
            "num_mel_bins": 8,
            "d_model": 16,
            "encoder_layers": 1,
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": 16,
            "max_source_positions": 100,
        },
        text_config={
            "model_type": "qwen2",
            "vocab_size": 300,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
            "eos_token_id": 0,
            "pad_token_id": 0,
        },
        audio_token_index=SPECIALS.index("<|AUDIO|>"),
    )
    transformers.Qwen2AudioForConditionalGeneration(config).save_pretrained(folder)
    return folder


def wav2vec2_ctc(folder: Path) -> Path:
    """A wav2vec 2.0 that spells with CTC."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", "A", "B", "C"]
    (folder / "vocab.json").write_text(json.dumps({letter: n for n, letter in enumerate(letters)}))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    processor = transformers.Wav2Vec2Processor(transformers.Wav2Vec2FeatureExtractor(), tokenizer)
    processor.save_pretrained(folder)
    torch.manual_seed(3)
    config = transformers.Wav2Vec2Config(
        vocab_size=len(letters),
        **WAV2VEC2,
        pad_token_id=0,
    )
    transformers.Wav2Vec2ForCTC(config).save_pretrained(folder)
    return folder


def moonshine(folder: Path) -> Path:
    """A Moonshine: from the wave itself, without features."""
    tokenizer = fast_tokenizer()
    features = transformers.Wav2Vec2FeatureExtractor(sampling_rate=16_000, return_attention_mask=True)
    transformers.Wav2Vec2Processor(features, tokenizer).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.MoonshineConfig(
        vocab_size=300,
        hidden_size=16,
        intermediate_size=16,
        encoder_num_hidden_layers=1,
        decoder_num_hidden_layers=1,
        encoder_num_attention_heads=2,
        decoder_num_attention_heads=2,
        bos_token_id=1,
        eos_token_id=0,
        pad_token_id=0,
    )
    transformers.MoonshineForConditionalGeneration(config).save_pretrained(folder)
    return folder


def speech_encoder_decoder(folder: Path) -> Path:
    """A wav2vec 2.0 before a small language model, joined by attention."""
    tokenizer = fast_tokenizer()
    transformers.Wav2Vec2Processor(transformers.Wav2Vec2FeatureExtractor(), tokenizer).save_pretrained(folder)
    torch.manual_seed(0)
    encoder = transformers.Wav2Vec2Config(
        **WAV2VEC2,
    )
    decoder = transformers.GPT2Config(
        vocab_size=300, n_positions=64, n_embd=16, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=0
    )
    config = transformers.SpeechEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id, config.eos_token_id, config.pad_token_id = 1, 0, 0
    transformers.SpeechEncoderDecoderModel(config).save_pretrained(folder)
    return folder


def audio_flamingo(folder: Path) -> Path:
    """An Audio Flamingo 3 with a template of chats; it reads several windows of two seconds at once."""
    tokenizer = fast_tokenizer()
    features = transformers.WhisperFeatureExtractor(feature_size=8, sampling_rate=16_000, chunk_length=2)
    template = (
        "{% for message in messages %}{% for part in message['content'] %}"
        "{% if part['type'] == 'audio' %}<|AUDIO|>{% else %}{{ part['text'] }}{% endif %}"
        "{% endfor %}{% endfor %}"
    )
    transformers.AudioFlamingo3Processor(
        features, tokenizer, chat_template=template, audio_token="<|AUDIO|>", max_audio_len=6
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.AudioFlamingo3Config(
        audio_config={
            "model_type": "audioflamingo3_encoder",
            "num_mel_bins": 8,
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "max_source_positions": 100,
        },
        text_config={
            "model_type": "qwen2",
            "vocab_size": 300,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "eos_token_id": 0,
            "pad_token_id": 0,
        },
        audio_token_id=SPECIALS.index("<|AUDIO|>"),
    )
    transformers.AudioFlamingo3ForConditionalGeneration(config).save_pretrained(folder)
    return folder
