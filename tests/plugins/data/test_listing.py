"""Which pictures and labels a folder has. Oracle: the folder, made by the test."""

import os

import pytest
from PIL import Image

from diffloom.errors import DataError
from diffloom.kinds import ImageInfo
from diffloom_data import ImageFolder

SHAPE = ImageInfo(height=4, width=4, channels=3)


@pytest.fixture
def tree(tmp_path):
    """Makes files; each picture's red value says which it is."""

    def make(*names):
        for red, name in enumerate(names):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4), (red, 0, 0)).save(path, "PNG")
        return str(tmp_path)

    return make


def red_and_label(examples, rng):
    got = [examples.example(i, rng) for i in range(len(examples))]
    return [(round((g.image_CHW[0, 0, 0] + 1) * 127.5), g.conditions.get("label")) for g in got]


def test_sub_folders_are_labels_sorted_whatever_order_they_were_made_in(tree, rng):
    path = tree("dog/b.png", "cat/2.png", "dog/a.png", "cat/10.png", "Ape/x.png", "cat/kittens/1.PNG")
    examples = ImageFolder(path=path).build(image=SHAPE)
    assert examples.info.classes == {"label": ("Ape", "cat", "dog")}
    assert examples.info.examples == len(examples) == 6
    # By path: Ape/x, cat/10, cat/2, cat/kittens/1, dog/a, dog/b.
    assert red_and_label(examples, rng) == [(4, 0), (3, 1), (1, 1), (5, 1), (2, 2), (0, 2)]


def test_a_flat_folder_has_no_labels(tree, rng):
    examples = ImageFolder(path=tree("b.png", "a.png")).build(image=SHAPE)
    assert examples.info.classes == {}
    assert red_and_label(examples, rng) == [(1, None), (0, None)]


def test_labels_can_be_left_out(tree, rng):
    examples = ImageFolder(path=tree("a/1.png", "2.png"), labels=False).build(image=SHAPE)
    assert examples.info.classes == {}
    assert red_and_label(examples, rng) == [(1, None), (0, None)]


def refusal(path, **fields):
    with pytest.raises(DataError) as caught:
        ImageFolder(path=path, **fields).build(image=SHAPE)
    return str(caught.value)


@pytest.mark.parametrize("labels", [None, True])
def test_a_picture_in_no_sub_folder_is_refused_where_sub_folders_are_labels(tree, labels):
    path = tree("a/1.png", "loose.png")
    assert refusal(path, labels=labels) == (
        f"{path}: sub-folders are labels, and 1 of 2 pictures lie in none; move or remove these, or set "
        "`labels: false`:\n  loose.png: in no sub-folder"
    )


def test_labels_asked_of_a_flat_folder_are_refused(tree):
    head, *lines = refusal(tree("1.png", "2.png"), labels=True).splitlines()
    assert "2 of 2 pictures lie in none" in head
    assert lines == ["  1.png: in no sub-folder", "  2.png: in no sub-folder"]


def test_a_class_without_pictures_is_refused(tree, tmp_path):
    path = tree("a/1.png", "b/1.png")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "read.me").write_text("no picture")
    assert "1 of 3 hold no pictures; move" in refusal(path)
    assert refusal(path).endswith(":\n  notes: a sub-folder without pictures")
    assert len(ImageFolder(path=path, labels=False).build(image=SHAPE)) == 2


def test_all_that_is_wrong_with_labels_is_told_at_once_and_a_long_list_is_cut(tree, tmp_path):
    path = tree("a/1.png", *(f"{number:02}.png" for number in range(30)))
    (tmp_path / "empty").mkdir()
    head, *lines = refusal(path).splitlines()
    assert "30 of 31 pictures lie in none and 1 of 2 hold no pictures" in head
    assert lines[:2] == ["  empty: a sub-folder without pictures", "  00.png: in no sub-folder"]
    assert len(lines) == 21
    assert lines[-1] == "  … and 11 more"


def test_every_label_is_known_without_reading(tree):
    examples = ImageFolder(path=tree("b/1.png", "a/1.png", "b/2.png")).build(image=SHAPE)
    assert examples.info.labels["label"].tolist() == [0, 1, 1]
    assert examples.info.sizes.tolist() == [[4, 4]] * 3


def test_hidden_and_other_files_are_not_looked_at(tree, tmp_path):
    path = tree("a/1.png", ".thumbnails/1.png", "a/.hidden.png")
    (tmp_path / "a" / "list.csv").write_text("1.png,cat")
    assert len(ImageFolder(path=path).build(image=SHAPE)) == 1


def test_a_linked_class_folder_is_followed_and_a_link_upwards_ends(tree, tmp_path):
    path = tree("a/1.png", ".elsewhere/2.png")
    (tmp_path / "b").symlink_to(tmp_path / ".elsewhere")
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    examples = ImageFolder(path=path).build(image=SHAPE)
    assert examples.info.classes == {"label": ("a", "b")}
    assert len(examples) == 2


def test_the_home_folder_and_the_current_one(tree, tmp_path, monkeypatch):
    tree("pictures/1.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(ImageFolder(path="~/pictures").build(image=SHAPE)) == 1
    monkeypatch.chdir(tmp_path)
    assert len(ImageFolder(path="pictures").build(image=SHAPE)) == 1


class TestNoData:
    def refusal(self, path, image=SHAPE):
        with pytest.raises(DataError) as caught:
            ImageFolder(path=str(path)).build(image=image)
        return str(caught.value)

    def test_missing_folder(self, tmp_path):
        message = self.refusal(tmp_path / "nowhere")
        assert message.startswith(f"{tmp_path / 'nowhere'}: no such folder")
        assert os.getcwd() in message  # noqa: PTH109

    def test_a_file(self, tree, tmp_path):
        tree("1.png")
        assert "a file" in self.refusal(tmp_path / "1.png")

    def test_empty_folder(self, tmp_path):
        (tmp_path / "notes.txt").write_text("nothing to see")
        assert "no pictures in it" in self.refusal(tmp_path)

    @pytest.mark.parametrize("closed", [".", "a"])
    def test_no_permission(self, tree, tmp_path, monkeypatch, closed):
        # As root nothing is forbidden, so the operating system's answer is given in its place.
        scandir = os.scandir
        folder = tmp_path / closed

        def refuse(path):
            if os.fspath(path) == os.fspath(folder):
                raise PermissionError(13, "Permission denied", os.fspath(path))
            return scandir(path)

        tree("a/1.png")
        monkeypatch.setattr(os, "scandir", refuse)
        assert f"{folder}: no permission" in self.refusal(tmp_path)

    def test_impossible_channels(self, tree):
        image = ImageInfo(height=4, width=4, channels=4)
        assert "set `image.channels` to 1 or 3" in self.refusal(tree("1.png"), image)
