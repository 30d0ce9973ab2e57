"""Sound of every container, rate and fault: mono samples, whole, or an error that names the file."""

import io
import struct
import tracemalloc
import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from seqkit import errors
from seqkit.io import audio, wholeness

RATE = 32_000
#: Codec, and the largest error of a sample.
KINDS = {
    "a.wav": ("pcm_s16le", 1e-4),
    "a.aiff": ("pcm_s16be", 1e-4),
    "a.flac": ("flac", 1e-4),
    "a.avi": ("pcm_s16le", 1e-4),
    "a.ogg": ("libopus", 0.05),
    "a.webm": ("libopus", 0.05),
    "a.mp3": ("libmp3lame", 0.05),
    "a.m4a": ("aac", 0.05),
    "a.mka": ("aac", 0.05),
    "a.aac": ("aac", 0.05),
}


def tone(seconds: float, rate: int = RATE, pitch: float = 440.0) -> np.ndarray:
    """A tone that swells from the first to the last sample, so that places can be told."""
    times_S = np.arange(round(seconds * rate)) / rate
    return (0.4 * (0.3 + 0.7 * times_S / seconds) * np.sin(2 * np.pi * pitch * times_S)).astype(np.float32)


def write(path: Path, waves_CS: np.ndarray, rate: int = RATE, **options: str) -> Path:
    """Encode channels of samples; the codec is that of the name in `KINDS`."""
    codec = KINDS[f"a{path.suffix}"][0]
    rate = 48_000 if codec == "libopus" else rate
    samples_CS = (np.clip(np.atleast_2d(waves_CS), -1, 1) * 32767).round().astype(np.int16)
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(samples_CS)]
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        for start in range(0, samples_CS.shape[1], 1024):
            piece = samples_CS[:, start : start + 1024].T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece), format="s16", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("name", KINDS)
def test_every_container_comes_as_the_samples_that_went_in(tmp_path: Path, name: str) -> None:
    rate = 48_000 if KINDS[name][0] == "libopus" else RATE
    wave_S = tone(1.5, rate)
    path = write(tmp_path / name, wave_S)
    found_S = audio.load(path, rate)
    assert found_S.dtype == np.float32 and found_S.ndim == 1
    # Codecs that work by frames fill the last one up.
    assert 0 <= len(found_S) - len(wave_S) < 4096
    # ADTS does not say that its first 1024 samples are the encoder's own.
    late = 1024 if name == "a.aac" else 0
    kept_S = found_S[late : late + len(wave_S)]
    middle = slice(2000, -2000)
    assert np.abs(kept_S - wave_S[: len(kept_S)])[middle].max() < KINDS[name][1]
    assert np.array_equal(audio.load(path.read_bytes(), rate), found_S)


def test_the_sound_of_a_video(film: Callable[..., Path], tmp_path: Path) -> None:
    wave_S = tone(1.0, 16_000)
    path = film(tmp_path / "a.mp4", [np.full((48, 64), 90, np.uint8)] * 25, wave_S=wave_S)
    found_S = audio.load(path, 16_000)
    assert abs(len(found_S) - 16_000) < 1100
    assert np.abs(found_S[2000:14_000] - wave_S[2000:14_000]).max() < 0.05


def test_the_name_says_nothing(tmp_path: Path) -> None:
    wave_S = tone(0.3)
    for name in ("no-suffix", "film.mp4", "12:30.wav", "http:a.wav", "a b%20c#?.txt", "ü.wav"):
        path = write(tmp_path / "a.flac", wave_S).rename(tmp_path / name)
        assert len(audio.load(path, RATE)) == len(wave_S)


def test_a_relative_name_with_a_colon_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.flac", tone(0.3)).rename(tmp_path / "12:30.wav")
    monkeypatch.chdir(tmp_path)
    assert len(audio.load("12:30.wav", RATE)) == 9600


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_rates_change_and_the_tone_stays(tmp_path: Path, rate: int) -> None:
    path = write(tmp_path / "a.wav", tone(1.0, rate), rate)
    found_S = audio.load(path, RATE)
    # The filter's delay is not lost: as many samples as the time says, give or take its ends.
    assert abs(len(found_S) - RATE) <= 64
    found_S = found_S[1000 : RATE - 1000]
    assert np.abs(found_S - tone(1.0)[1000 : RATE - 1000]).max() < 0.01


def test_channels_are_averaged(tmp_path: Path) -> None:
    left_S, right_S = tone(0.5), tone(0.5, pitch=880.0)
    path = write(tmp_path / "a.wav", np.stack([left_S, right_S]))
    assert np.abs(audio.load(path, RATE) - (left_S + right_S) / 2).max() < 1e-4
    six_CS = np.stack([left_S * (number + 1) / 6 for number in range(6)])
    path = write(tmp_path / "six.wav", six_CS)
    assert np.abs(audio.load(path, RATE) - six_CS.mean(axis=0)).max() < 1e-4


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(
    count=st.integers(1, 40_000), seconds=st.floats(0.001, 2.0), rate=st.sampled_from([8000, 16_000, 32_000])
)
def test_blocks_are_the_whole_in_pieces(count: int, seconds: float, rate: int) -> None:
    """What `read_blocks` cuts is what the samples are when they are decoded at once."""
    held = io.BytesIO()
    samples_S = np.random.default_rng(count).integers(-20_000, 20_000, count).astype("<i2")
    with wave.open(held, "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(rate)
        file.writeframes(samples_S.tobytes())
    blocks = list(audio.read_blocks(held.getvalue(), rate, seconds))
    size = max(1, round(seconds * rate))
    assert all(len(block_S) == size for block_S in blocks[:-1]) and 0 < len(blocks[-1]) <= size
    assert np.array_equal(np.concatenate(blocks), samples_S.astype(np.float32) / 32768)


def test_a_limit_leaves_the_rest_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(2.0))
    whole_S = audio.load(path, RATE)
    for limit in (0.0, 0.5, 1.234, 5.0):
        assert np.array_equal(audio.load(path, RATE, limit), whole_S[: round(limit * RATE)])


def test_many_minutes_take_no_more_memory_than_one(tmp_path: Path) -> None:
    def peak(minutes: int) -> int:
        path = tmp_path / "long.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1), file.setsampwidth(1), file.setframerate(1000)
            for _ in range(minutes):
                file.writeframes(bytes(range(200)) * 300)
        tracemalloc.start()
        total = sum(len(block_S) for block_S in audio.read_blocks(path, 1000))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert abs(total - minutes * 60_000) <= 1
        return most

    peak(1)
    assert peak(20) < 1.2 * peak(1) + 100_000


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", KINDS)
def test_what_is_cut_short_is_never_passed_as_whole(tmp_path: Path, name: str, share: float) -> None:
    content = write(tmp_path / name, tone(2.0)).read_bytes()
    path = tmp_path / f"cut-{name}"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(errors.DataError, match=f"cut-{name}: is (damaged or cut|not an audio|.*damaged)"):
        audio.load(path, RATE)


def test_a_file_that_states_its_index_first_is_missed_at_its_end(tmp_path: Path) -> None:
    content = write(tmp_path / "a.m4a", tone(2.0), movflags="faststart").read_bytes()
    with pytest.raises(errors.DataError, match="cut short"):
        audio.load(content[: len(content) * 3 // 4], RATE)


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3", "a.m4a", "a.mka", "a.webm", "a.aac"])
def test_damage_in_the_middle_is_told(tmp_path: Path, name: str) -> None:
    content = bytearray(write(tmp_path / name, tone(3.0)).read_bytes())
    middle, size = len(content) // 2, len(content) // 10
    content[middle : middle + size] = np.random.default_rng(0).bytes(size)
    with pytest.raises(errors.DataError, match=r"standard input: is damaged.* at \d\.\d s"):
        audio.load(bytes(content), RATE)


def test_what_was_written_to_a_pipe_states_no_size(tmp_path: Path) -> None:
    content = bytearray(write(tmp_path / "a.wav", tone(1.0)).read_bytes())
    data = content.index(b"data")
    for unknown in (b"\xff\xff\xff\xff", b"\x00\xf0\xff\x7f"):
        content[4:8] = content[data + 4 : data + 8] = unknown
        assert len(audio.load(bytes(content), RATE)) == RATE


def test_later_bytes_are_no_damage(tmp_path: Path) -> None:
    """Tags at the end, or files joined end to end."""
    for name in ("a.wav", "a.mp3"):
        content = write(tmp_path / name, tone(1.0)).read_bytes()
        assert wholeness.missing(io.BytesIO(content + b"TAG" + bytes(125))) == 0
        assert len(audio.load(content + b"TAG" + bytes(125), RATE)) >= RATE


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(
    head=st.sampled_from(
        [
            b"RIFF",
            b"FORM",
            b"OggS",
            b"\x1a\x45\xdf\xa3",
            b"\0\0\0\x10ftyp",
            b"\0\0\0\1moov",
            b"ID3",
            b"\xff\xfb",
        ]
    ),
    tail=st.binary(max_size=300),
)
def test_no_header_makes_the_size_fail(head: bytes, tail: bytes) -> None:
    assert wholeness.missing(io.BytesIO(head + tail)) >= 0


def test_no_sound_at_all(film: Callable[..., Path], tmp_path: Path) -> None:
    silent = film(tmp_path / "silent.mp4", [np.full((48, 64), 90, np.uint8)] * 5)
    text = tmp_path / "notes.wav"
    text.write_text("These are notes.\n" * 100)
    empty = tmp_path / "empty.wav"
    empty.touch()
    noise = tmp_path / "noise.mp3"
    noise.write_bytes(np.random.default_rng(0).bytes(50_000))
    told = {
        silent: "has no audio track",
        text: "is not an audio or video file",
        empty: "is empty",
        noise: "",
        tmp_path / "none.wav": "no such file",
        tmp_path: "is not a file",
    }
    for path, reason in told.items():
        with pytest.raises(errors.DataError) as found:
            audio.load(path, RATE)
        assert str(found.value).startswith(f"{path}: {reason}")
    with pytest.raises(errors.DataError, match="standard input: is empty"):
        audio.load(b"", RATE)
    with pytest.raises(errors.DataError, match="talk"):
        audio.load(b"no sound", RATE, file="talk")


def test_lists_of_other_files_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", tone(0.2))
    lists = {
        "a.ffconcat": "ffconcat version 1.0\nfile a.wav\n",
        "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:4,\na.wav\n#EXT-X-ENDLIST\n",
        "a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    }
    for name, content in lists.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(errors.DataError, match=name):
            audio.load(tmp_path / name, RATE)


def riff(channels: int, rate: int, form: int, bits: int, data: bytes) -> bytes:
    """A WAV file with any header."""
    width = channels * bits // 8
    head = struct.pack("<HHIIHH", form, channels, rate, (rate * width) & 0xFFFFFFFF, width & 0xFFFF, bits)
    body = b"WAVEfmt " + struct.pack("<I", len(head)) + head + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_absurd_headers_are_refused() -> None:
    for channels, rate in ((1, 2_000_000_000), (60_000, 44_100), (0, 44_100), (1, 0)):
        with pytest.raises(errors.DataError):
            audio.load(riff(channels, rate, 1, 16, bytes(4000)), RATE)
    assert len(audio.load(riff(1, RATE, 1, 16, b""), RATE)) == 0


def test_samples_that_are_no_numbers_are_refused() -> None:
    for value in (np.nan, np.inf, -np.inf, 1e30):
        samples_S = np.full(4000, 0.1, "<f4")
        samples_S[2000] = value
        with pytest.raises(errors.DataError, match="no numbers, or far too large"):
            audio.load(riff(1, RATE, 3, 32, samples_S.tobytes()), RATE)
    beyond_S = np.full(4000, 3.0, "<f4")
    assert np.array_equal(audio.load(riff(1, RATE, 3, 32, beyond_S.tobytes()), RATE), beyond_S)


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = bytearray(write(tmp_path / "a.mp3", tone(1.0)).read_bytes())
    content[5000:7000] = bytes(2000)
    with pytest.raises(errors.DataError):
        audio.load(bytes(content), RATE)
    assert capfd.readouterr() == ("", "")


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(seed=st.integers(0, 10_000))
def test_damage_anywhere_ends_in_samples_or_a_named_error(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = np.random.default_rng(seed)
    name = list(KINDS)[seed % len(KINDS)]
    path = tmp_path_factory.getbasetemp() / f"damage-{name}"
    content = bytearray((path if path.exists() else write(path, tone(0.5))).read_bytes())
    for where in rng.integers(len(content), size=15):
        content[where] = int(rng.integers(256))
    try:
        for block_S in audio.read_blocks(bytes(content), RATE):
            assert np.isfinite(block_S).all()
    except errors.DataError as error:
        assert str(error).startswith("standard input: ")


@pytest.mark.needs_dev_data
def test_real_clips_are_whole(dev_data: Path) -> None:
    clips = sorted((dev_data / "caption").rglob("*.ogg"))[::25]
    if not clips:
        pytest.skip("no clips beside the project")
    for clip in clips:
        assert len(audio.load(clip, 16_000)) > 1000
