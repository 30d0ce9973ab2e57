"""Videos of every kind and fault come as upright grey frames, 25 a second, in step with their sound."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from seqkit import errors
from seqkit.io import audio, video

HEIGHT, WIDTH = 48, 64


def bars(count: int) -> list[np.ndarray]:
    """Frames with a bright corner, top left, and a bar that moves by a pixel a frame."""
    frames = []
    for number in range(count):
        grey_HW = np.full((HEIGHT, WIDTH), 40, np.uint8)
        grey_HW[:16, :16] = 220
        grey_HW[20:, 20 + number : 24 + number] = 180
        frames.append(grey_HW)
    return frames


def place(grey_HW: np.ndarray) -> int:
    """Where the bar is."""
    return int(np.flatnonzero(grey_HW[30] > 110)[0]) - 20


def read(path: Path | bytes) -> list[np.ndarray]:
    frames = list(video.read_frames(path))
    assert [frame.number for frame in frames] == list(range(len(frames)))
    return [frame.grey_HW for frame in frames]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.avi"])
def test_a_video_at_25_frames_a_second_comes_as_it_is(
    film: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    frames = bars(12)
    wave_S = np.sin(np.arange(7680) / 10).astype(np.float32)
    path = film(tmp_path / name, frames, wave_S=wave_S)
    found = read(path)
    assert len(found) == 12
    assert np.abs(np.stack(found).astype(int) - np.stack(frames)).mean() < 2
    assert video.has_video(path) and video.has_sound(path)
    assert len(read(path.read_bytes())) == 12


def test_mpeg_counts_from_the_files_start(film: Callable[..., Path], tmp_path: Path) -> None:
    path = film(tmp_path / "a.mpg", bars(12), codec="mpeg1video", wave_S=np.ones(7680, np.float32) / 2)
    assert 12 <= len(read(path)) <= 13
    assert len(audio.load(path, 16_000)) <= 1.2 * 7680


@pytest.mark.parametrize("fps", [10.0, 15.0, 29.97, 50.0, 60.0])
def test_other_rates_are_brought_to_25(film: Callable[..., Path], tmp_path: Path, fps: float) -> None:
    found = read(film(tmp_path / "a.mp4", bars(30), fps=fps))
    assert abs(len(found) - 25 * 30 / fps) <= 1.01
    places = [place(grey_HW) for grey_HW in found]
    for number, where in enumerate(places):
        assert abs(where - number * fps / 25) <= 1


def test_a_varying_rate_goes_by_timestamps(film: Callable[..., Path], tmp_path: Path) -> None:
    times = [0, 0.04, 0.08, 0.4, 0.44, 0.6, 0.61, 0.62, 0.8, 1.0]
    found = read(film(tmp_path / "a.mkv", bars(10), times=times))
    nearest = [int(np.abs(np.array(times) - number / 25).argmin()) for number in range(26)]
    differ = [a for a, b in zip([place(grey_HW) for grey_HW in found], nearest, strict=False) if a != b]
    # Ties between two frames may go either way.
    assert len(found) >= 26 and len(differ) <= 2


def test_a_slide_may_stand_for_minutes_but_not_for_hours(film: Callable[..., Path], tmp_path: Path) -> None:
    found = read(film(tmp_path / "a.mkv", bars(3), times=[0, 200, 200.04]))
    assert len(found) == 5002
    assert (place(found[0]), place(found[2499]), place(found[2501]), place(found[-1])) == (0, 0, 1, 2)
    with pytest.raises(errors.DataError, match="has a gap of 7200 s without frames"):
        read(film(tmp_path / "b.mkv", bars(3), times=[0, 7200, 7200.04]))


def test_a_phone_video_is_turned_upright(film: Callable[..., Path], tmp_path: Path) -> None:
    (first, *_) = read(film(tmp_path / "a.mp4", bars(3), turned=True))
    assert first.shape == (WIDTH, HEIGHT)
    assert first[:10, -10:].mean() > 200  # as players show it: a quarter turn clockwise
    assert first[:10, :10].mean() < 60


def test_one_frame_is_one_frame(film: Callable[..., Path], tmp_path: Path) -> None:
    assert len(read(film(tmp_path / "a.mp4", bars(1)))) == 1


def test_large_frames_are_made_smaller(film: Callable[..., Path], tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", bars(2))
    (first, *_) = video.read_frames(path, shorter=24)
    assert first.grey_HW.shape == (24, 32)


def test_sound_that_starts_later_is_preceded_by_silence(film: Callable[..., Path], tmp_path: Path) -> None:
    wave_S = np.full(6400, 0.5, np.float32)
    path = film(tmp_path / "a.mkv", bars(15), wave_S=wave_S, sound_at=0.2)
    heard_S = audio.load(path, 16_000)
    assert len(heard_S) == 3200 + 6400
    assert np.abs(heard_S[:3200]).max() == 0 and np.abs(heard_S[3200:]).min() > 0.4


def test_a_film_without_sound_and_a_sound_without_film(film: Callable[..., Path], tmp_path: Path) -> None:
    silent = film(tmp_path / "a.mp4", bars(3))
    sound = film(tmp_path / "a.wav", [], wave_S=np.zeros(1600, np.float32))
    assert not video.has_sound(silent)
    assert not video.has_video(sound)
    with pytest.raises(errors.DataError, match=r"a\.wav: has no video track"):
        read(sound)


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("libmp3lame", rate=16_000)
        cover = container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = WIDTH, HEIGHT, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(bars(1)[0], format="gray").reformat(format="rgb24")
        container.mux(cover.encode(frame))
        container.mux(cover.encode())
        piece = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16p", layout="mono")
        piece.sample_rate = 16_000
        container.mux(sound.encode(piece))
        container.mux(sound.encode())
    assert not video.has_video(path)
    with pytest.raises(errors.DataError, match="has no video track"):
        read(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "is empty"), (b"no film at all" * 100, "is not an audio or video file, or is damaged")],
)
def test_what_is_no_video_is_named(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(errors.DataError, match=rf"bad\.mp4: {told}"):
        read(path)
    with pytest.raises(errors.DataError, match=told):
        read(content)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.avi"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_refused(
    film: Callable[..., Path], tmp_path: Path, name: str, share: float
) -> None:
    whole = film(tmp_path / name, bars(20)).read_bytes()
    with pytest.raises(errors.DataError, match="damaged"):
        read(whole[: round(share * len(whole))])


def test_pictures_of_an_unknown_kind_are_told(film: Callable[..., Path], tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", bars(3), wave_S=np.zeros(1600, np.float32))
    path.write_bytes(
        path.read_bytes().replace(b"V_MPEG4/ISO/ASP", b"V_UNHEARD/OF/XX").replace(b"A_PCM", b"A_XXX")
    )
    with pytest.raises(errors.DataError, match="pictures of a kind that cannot be decoded"):
        read(path)
    with pytest.raises(errors.DataError, match="sound of a kind that cannot be decoded"):
        audio.load(path, 16_000)


def test_damage_within_a_file_never_ends_in_anything_but_frames_or_a_named_error(
    film: Callable[..., Path], tmp_path: Path
) -> None:
    whole = film(tmp_path / "a.mp4", bars(20), wave_S=np.zeros(12_800, np.float32)).read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "b.mp4"
    refused = 0
    for _ in range(40):
        damaged = bytearray(whole)
        for where in rng.integers(len(whole), size=20):
            damaged[where] = int(rng.integers(256))
        path.write_bytes(damaged)
        try:
            for grey_HW in read(path):
                assert grey_HW.dtype == np.uint8 and grey_HW.ndim == 2
        except errors.DataError as error:
            assert "b.mp4: " in str(error)
            refused += 1
    assert refused


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(errors.DataError, match="no such file"):
        read(tmp_path / "none.mp4")
    with pytest.raises(errors.DataError, match="is not a file"):
        read(tmp_path)
