"""Data `captioned_folder`. Oracle: the captions and pictures that the test wrote, and what it broke in them."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from diffloom.errors import DataError
from diffloom.kinds import ImageInfo
from diffloom.process import keyed_generator
from diffloom.testing import check_component
from diffloom_data import CaptionedFolder
from diffloom_data.caption_file import captions_in_lines
from diffloom_data.caption_texts import captions_beside
from diffloom_data.listing import File

SHAPE = ImageInfo(height=4, width=4, channels=3)
words = st.text(st.characters(codec="utf-8"), min_size=1).map(str.strip).filter(bool)


@pytest.fixture
def folder(tmp_path):
    """Three pictures whose red value says which they are."""
    for red, name in enumerate(("a.png", "b.jpg", "sub/c.png")):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4), (40 * red, 0, 0)).save(path, quality=100)
    return tmp_path


def write(folder, *lines):
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "captions.jsonl").write_text("\n".join(texts), encoding="utf-8")


def opened(folder, **fields):
    return CaptionedFolder(path=str(folder), **fields).build(image=SHAPE)


def refusal(folder, **fields):
    with pytest.raises(DataError) as caught:
        opened(folder, **fields)
    return str(caught.value)


def red_and_caption(examples, rng, key="prompt"):
    got = [examples.example(i, rng) for i in range(len(examples))]
    return [(round((g.image_CHW[0, 0, 0] + 1) * 127.5 / 40), g.conditions[key]) for g in got]


def test_it_obeys_the_laws_of_its_kind():
    assert check_component(CaptionedFolder) == []


class TestReading:
    def test_lines_name_pictures_in_any_order(self, folder, rng):
        write(
            folder,
            {"file": "sub/c.png", "caption": "third", "tags": ["x"]},
            "",
            {"file": "./a.png", "caption": "  first "},
            {"file": "b.jpg", "caption": "zweites — ₂"},
        )
        examples = opened(folder)
        assert red_and_caption(examples, rng) == [(0, "first"), (1, "zweites — ₂"), (2, "third")]
        assert examples.info.examples == 3
        assert examples.info.captions == {"prompt": ("first", "zweites — ₂", "third")}

    @pytest.mark.parametrize(
        ("keys", "fields"),
        [
            (("file_name", "text"), {}),
            (("img", "alt"), {"file_key": "img", "caption_key": "alt"}),
        ],
    )
    def test_other_names_of_the_keys(self, folder, rng, keys, fields):
        write(
            folder, *(dict(zip(keys, (name, name), strict=True)) for name in ("a.png", "b.jpg", "sub/c.png"))
        )
        examples = opened(folder, condition="words", **fields)
        assert red_and_caption(examples, rng, "words") == [(0, "a.png"), (1, "b.jpg"), (2, "sub/c.png")]

    def test_a_text_file_beside_each_picture(self, folder, rng):
        (folder / "a.txt").write_text("\ufefffirst\n", encoding="utf-8")
        (folder / "b.txt").write_text("second\r\n")
        (folder / "sub" / "c.txt").write_text("\n  third\n\nor 3rd\n")
        (folder / ".notes.txt").write_text("not looked at")
        examples = opened(folder, captions=None)
        assert examples.info.captions == {"prompt": ("first", "second", "third", "or 3rd")}
        assert {caption for _, caption in red_and_caption(examples, rng)[:2]} == {"first", "second"}

    def test_one_of_several_captions_is_drawn_by_the_key_and_evenly(self, folder):
        several = ["one", "two", "three"]
        write(folder, *({"file": name, "caption": several} for name in ("a.png", "b.jpg", "sub/c.png")))
        examples = opened(folder)

        def draw(sample):
            return examples.example(1, keyed_generator(0, sample, 0, "example")).conditions["prompt"]

        drawn = [draw(sample) for sample in range(900)]
        assert drawn == [draw(sample) for sample in range(900)]
        counts = np.array([drawn.count(caption) for caption in several])
        # χ² with 2 degrees of freedom exceeds 13.8 once in a thousand; the keys are fixed.
        assert ((counts - 300) ** 2 / 300).sum() < 13.8
        assert counts.sum() == 900

    def test_the_first_of_several_is_always_the_same(self, folder, rng):
        write(folder, *({"file": name, "caption": [name, "x"]} for name in ("a.png", "b.jpg", "sub/c.png")))
        component = CaptionedFolder(path=str(folder), several="first")
        examples = component.build(image=SHAPE)
        assert {caption for _ in range(20) for _, caption in red_and_caption(examples, rng)} == {
            "a.png",
            "b.jpg",
            "sub/c.png",
        }
        assert component.deterministic
        assert examples.info.captions == {"prompt": ("a.png", "b.jpg", "sub/c.png")}
        assert not CaptionedFolder(path=str(folder)).deterministic
        assert not CaptionedFolder(path=str(folder), several="first", flip=True).deterministic

    def test_a_single_caption_draws_nothing(self, folder):
        """So that crops and flips stay what they were when captions are added."""
        write(folder, *({"file": name, "caption": "x"} for name in ("a.png", "b.jpg", "sub/c.png")))
        generator = np.random.default_rng(0)
        opened(folder).example(0, generator)
        assert generator.random() == np.random.default_rng(0).random()

    @given(
        st.dictionaries(words, st.lists(words, min_size=1, max_size=3), min_size=1, max_size=5), st.randoms()
    )
    def test_whatever_json_can_say_is_read_back(self, tmp_path_factory, captions, random):
        folder = tmp_path_factory.mktemp("lines")
        names = {str(index): several for index, several in enumerate(captions.values())}
        lines = [{"file": name, "caption": several} for name, several in names.items()]
        random.shuffle(lines)
        texts = [json.dumps(line, ensure_ascii=bool(index % 2)) for index, line in enumerate(lines)]
        (folder / "lines").write_bytes("\n".join(texts).encode())
        read = captions_in_lines(
            folder / "lines", [File(name, 0, 0) for name in names], file_key=None, caption_key=None
        )
        assert read == {name: tuple(several) for name, several in names.items()}


class TestMistakes:
    def test_a_missing_captions_file(self, folder):
        message = refusal(folder)
        assert message.startswith(
            f"{folder / 'captions.jsonl'}: no such captions file; name it with `captions`"
        )
        assert "`captions: null`" in message

    def test_a_file_that_is_no_text(self, folder):
        (folder / "captions.jsonl").write_bytes(b"\xff\xfe{}")
        assert "captions.jsonl: not UTF-8 text" in refusal(folder)
        (folder / "captions.jsonl").unlink()
        (folder / "captions.jsonl").mkdir()
        assert "captions.jsonl: cannot be read: Is a directory" in refusal(folder)

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ('{"file": "a.png", "caption" "x"}', "not JSON: Expecting ':' delimiter at column 29"),
            ("[" * 100_000, "not JSON that can be read: nested too deeply"),
            ('["a.png", "x"]', "expected an object with 'file' and 'caption'"),
            ({"caption": "x"}, "no 'file' or 'file_name'; it has caption"),
            ({"file": "a.png"}, "no 'caption' or 'text'; it has file"),
            ({"file": "a.png", "text": "x", "caption": "y"}, "both 'caption' and 'text'; say in the conf"),
            ({"file": 3, "caption": "x"}, "the picture's path is text, not 3"),
            ({"file": "a.png", "caption": None}, "a caption is text, or a list of texts"),
            ({"file": "a.png", "caption": ["x", 3]}, "a caption is text, or a list of texts"),
            ({"file": "a.png", "caption": " \n"}, "an empty caption of a.png"),
            ({"file": "a.png", "caption": []}, "an empty caption of a.png"),
            ({"file": "a.png", "caption": ["x", ""]}, "an empty caption of a.png"),
            ('{"file": "a.png", "caption": "\\ud83d"}', "half a character in the caption of a.png"),
            ({"file": "z.png", "caption": "x"}, "no picture z.png in the folder"),
            ({"file": "../a.png", "caption": "x"}, "no picture ../a.png in the folder"),
            ({"file": "b.jpg", "caption": "x"}, "b.jpg has its caption in line 1 already"),
        ],
    )
    def test_a_line_is_named_with_what_is_wrong(self, folder, line, message):
        write(folder, {"file": "b.jpg", "caption": "2"}, {"file": "sub/c.png", "caption": "3"}, line)
        told = refusal(folder)
        head, first, second = told.splitlines()
        assert head == (
            f"{folder / 'captions.jsonl'}: 2 problems with the captions; "
            "every picture needs one, and every caption a picture:"
        )
        assert first.startswith(f"  captions.jsonl:3: {message}")
        assert second == "  a.png: no caption"

    def test_all_is_told_at_once_and_counted_where_it_is_much(self, folder):
        write(folder, *(f"{{{index}" for index in range(40)))
        head, *told = refusal(folder).splitlines()
        assert "43 problems with the captions" in head
        assert told[0].startswith("  captions.jsonl:1: not JSON")
        assert len(told) == 21
        assert told[-1] == "  … and 23 more"

    def test_everything_wrong_beside_pictures(self, folder):
        (folder / "a.txt").write_text("first")
        (folder / "b.txt").write_text(" \n")
        (folder / "lost.txt").write_text("nobody's")
        (folder / "sub" / "c.txt").write_bytes(b"\xff")
        Image.new("RGB", (4, 4)).save(folder / "a.gif")
        Image.new("RGB", (4, 4)).save(folder / "d.png")
        head, *told = refusal(folder, captions=None).splitlines()
        assert head.startswith(f"{folder}: 5 problems with the captions")
        assert [line.split(": ")[:2] for line in told] == [
            ["  a.png", "shares a.txt with a.gif; rename one of the pictures"],
            ["  b.txt", "empty"],
            ["  sub/c.txt", "cannot be read"],
            ["  lost.txt", "no picture beside it; remove what is no caption"],
            ["  d.png", "no caption"],
        ]

    def test_a_broken_picture_is_left_out_with_its_caption(self, folder, rng):
        write(folder, *({"file": name, "caption": name} for name in ("a.png", "b.jpg", "sub/c.png")))
        (folder / "b.jpg").write_bytes(b"")
        with pytest.warns(UserWarning, match=r"b\.jpg"):
            examples = opened(folder, unreadable="skip")
        assert red_and_caption(examples, rng) == [(0, "a.png"), (2, "sub/c.png")]
        assert examples.info.captions == {"prompt": ("a.png", "sub/c.png")}
        assert "1 unreadable file" in refusal(folder)

    def test_impossible_pictures_and_folders(self, folder, tmp_path):
        write(folder, {"file": "a.png", "caption": "x"})
        with pytest.raises(DataError, match="captioned_folder gives pictures with 1 channel"):
            CaptionedFolder(path=str(folder)).build(image=ImageInfo(height=4, width=4, channels=4))
        with pytest.raises(DataError, match="no such folder"):
            opened(tmp_path / "nowhere")


def test_beside_and_in_lines_agree(folder):
    captions = {"a.png": ("first",), "b.jpg": ("second",), "sub/c.png": ("third", "3rd")}
    write(folder, *({"file": name, "caption": list(several)} for name, several in captions.items()))
    for name, several in captions.items():
        Path(folder / name).with_suffix(".txt").write_text("\n".join(several))
    files = [File(name, 0, 0) for name in captions]
    in_lines = captions_in_lines(folder / "captions.jsonl", files, file_key=None, caption_key=None)
    assert in_lines == captions_beside(folder, files) == captions
