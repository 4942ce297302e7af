"""Broken picture files. Oracle: files broken on purpose, each in a way of its own."""

import io
import json
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from diffloom.errors import DataError
from diffloom.kinds import ImageInfo
from diffloom_data import ImageFolder, check

SHAPE = ImageInfo(height=8, width=8, channels=3)


def encoded(picture, kind, **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def names(examples):
    return examples.album.inventory.names


def png_chunk(tag, body):
    return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))


@pytest.fixture
def broken_files(noise_picture):
    """name → content of files that are no whole pictures."""
    picture = noise_picture(height=64, width=64)
    jpeg, png = encoded(picture, "JPEG"), encoded(picture, "PNG")
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)  # 3.6 gigapixels in a few bytes
    bomb = (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b"")) + png[-12:]
    )
    text_bomb = png[:33] + png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**27))) + png[33:]
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 0xFF
    return {
        "cut.jpg": jpeg[: len(jpeg) * 2 // 3],
        "cut_in_header.jpg": jpeg[:30],
        "cut.png": png[: len(png) * 2 // 3],
        "flipped_byte.png": bytes(flipped),
        "empty.png": b"",
        "text.png": b"this is no picture\n",
        "bomb.png": bomb,
        "text_bomb.png": text_bomb,
        "float.tif": encoded(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF"),
        "wide.tif": encoded(Image.fromarray(np.full((8, 8), 70_000, np.int32)), "TIFF"),
    }


@pytest.fixture
def mixed_folder(tmp_path, noise_picture, broken_files):
    for i in range(3):
        noise_picture(seed=i).save(tmp_path / f"good{i}.png")
    for name, content in broken_files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "dangling.png").symlink_to(tmp_path / "gone.png")
    return tmp_path


def test_refuse_names_every_broken_file_and_no_sound_one(mixed_folder, broken_files):
    with pytest.raises(DataError) as caught:
        ImageFolder(path=str(mixed_folder)).build(image=SHAPE)
    head, *lines = str(caught.value).splitlines()
    assert head.startswith(f"{mixed_folder}: {len(broken_files) + 1} unreadable files; mend or remove them")
    assert [line.split(":")[0].strip() for line in lines] == sorted([*broken_files, "dangling.png"])
    reasons = dict(line.strip().split(": ", 1) for line in lines)
    assert "truncated" in reasons["cut.jpg"]
    assert reasons["bomb.png"].startswith("DecompressionBombError")
    assert reasons["dangling.png"].startswith("FileNotFoundError")
    assert "70000" in reasons["wide.tif"]


def test_skip_warns_with_names_and_count_and_goes_on(mixed_folder, broken_files, rng):
    with pytest.warns(UserWarning, match=rf"{len(broken_files) + 1} unreadable files skipped") as caught:
        examples = ImageFolder(path=str(mixed_folder), unreadable="skip").build(image=SHAPE)
    assert all(name in str(caught[0].message) for name in broken_files)
    assert len(examples) == examples.info.examples == 3
    for i in range(3):
        assert examples.example(i, rng).image_CHW.shape == SHAPE.shape


def test_a_warning_names_some_of_very_many(tmp_path, noise_picture):
    noise_picture().save(tmp_path / "good.png")
    for i in range(50):
        (tmp_path / f"bad{i:02}.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="50 unreadable files skipped") as caught:
        ImageFolder(path=str(tmp_path), unreadable="skip").build(image=SHAPE)
    message = str(caught[0].message)
    assert "bad00.png" in message
    assert "bad49.png" not in message
    assert message.endswith("… and 30 more")


def test_nothing_readable_is_refused_even_when_skipping(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"")
    with (
        pytest.raises(DataError, match="none of the 1 pictures in it can be read"),
        pytest.warns(UserWarning, match="1 unreadable file skipped"),
    ):
        ImageFolder(path=str(tmp_path), unreadable="skip").build(image=SHAPE)


def test_a_file_that_breaks_later_is_named(tmp_path, noise_picture, rng):
    noise_picture().save(tmp_path / "a.png")
    examples = ImageFolder(path=str(tmp_path)).build(image=SHAPE)
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.png: could be read when the run started, and no longer"):
        examples.example(0, rng)


def test_small_pictures_are_told_of(tmp_path, noise_picture):
    noise_picture(height=8, width=7).save(tmp_path / "narrow.png")
    noise_picture(height=8, width=8).save(tmp_path / "fits.png")
    with pytest.warns(UserWarning, match="1 of 2 pictures are smaller than 8×8"):
        ImageFolder(path=str(tmp_path)).build(image=SHAPE)
    (tmp_path / "narrow.png").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ImageFolder(path=str(tmp_path)).build(image=SHAPE)


class TestMemory:
    @pytest.fixture
    def decoded(self, monkeypatch):
        """The names of the files decoded by a check, in the order of the test."""
        names = []
        decode = check._decode

        def record(path):
            names.append(path.name)
            return decode(path)

        monkeypatch.setattr(check, "_decode", record)
        return names

    @pytest.fixture
    def folder(self, tmp_path, noise_picture):
        for name in ("a.png", "b.png"):
            noise_picture().save(tmp_path / name)
        (tmp_path / "bad.png").write_bytes(b"")
        return tmp_path

    def build(self, folder):
        with pytest.warns(UserWarning, match=r"bad\.png"):
            return ImageFolder(path=str(folder), unreadable="skip").build(image=SHAPE)

    def test_a_second_start_decodes_nothing_and_says_the_same(self, folder, decoded):
        first = self.build(folder)
        assert sorted(decoded) == ["a.png", "b.png", "bad.png"]
        decoded.clear()
        assert names(self.build(folder)) == names(first)
        assert decoded == []

    def test_a_changed_and_a_new_file_are_decoded_again(self, folder, decoded, noise_picture):
        self.build(folder)
        decoded.clear()
        noise_picture(height=20).save(folder / "a.png")
        noise_picture().save(folder / "c.png")
        assert names(self.build(folder)) == ["a.png", "b.png", "c.png"]
        assert sorted(decoded) == ["a.png", "c.png"]

    @pytest.mark.parametrize(
        "content", [b"\n", b"{", b"[]", b'{"0 0 a.png": 3}', json.dumps(["a.png", [], 0, 1, 1, ""]).encode()]
    )
    def test_a_damaged_memory_is_forgotten(self, folder, decoded, cache_home, content):
        self.build(folder)
        (memory,) = cache_home.rglob("*.jsonl")
        memory.write_bytes(content)
        decoded.clear()
        self.build(folder)
        assert sorted(decoded) == ["a.png", "b.png", "bad.png"]

    def test_without_a_place_to_remember_it_works(self, folder, decoded, cache_home, monkeypatch):
        (cache_home / "file").write_text("in the way")
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache_home / "file"))
        assert len(self.build(folder)) == len(self.build(folder)) == 2
        assert len(decoded) == 6
