"""The class-label conditioner. Oracle: what a label means, case by case and as laws over names."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from diffloom.bridge import Foreign, MemoryTensors, fill, theirs_of
from diffloom.errors import DataError
from diffloom.kinds import ConditionInfo, DataInfo, ImageInfo, Setting, SpaceInfo
from diffloom_labels import ClassLabel, ClassToken

SETTING = Setting(image=ImageInfo(8, 8, 1), space=SpaceInfo(1, 8, 8))
DIGITS = tuple("0123456789")
class_names = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=12, unique=True).map(tuple)


@settings(deadline=None)
@given(st.integers(1, 2000))
def test_the_null_class_is_one_more_than_the_classes(count):
    assert ClassLabel(classes=count).info(SETTING) == ConditionInfo(classes=count + 1)
    null = ClassLabel(classes=count).build(setting=SETTING, codec=None).null(3)
    assert null.class_B.tolist() == [count] * 3
    assert null.class_B.dtype == torch.int64


@settings(deadline=None)
@given(class_names)
def test_every_name_means_its_place_and_every_id_itself(names):
    label = ClassLabel(classes=names)
    assert [label.parse(name) for name in names] == list(range(len(names)))
    assert [label.check(name) for name in names] == list(range(len(names)))
    assert [label.check(i) for i in range(len(names))] == list(range(len(names)))


@settings(deadline=None)
@given(
    st.integers(1, 50).flatmap(lambda count: st.tuples(st.just(count), st.lists(st.integers(0, count - 1))))
)
def test_encode_gives_one_id_for_each_label(case):
    count, raw = case
    condition = ClassLabel(classes=count).build(setting=SETTING, codec=None).encode(raw)
    assert condition.class_B.tolist() == raw
    assert condition.class_B.dtype == torch.int64
    assert list(condition.filled()) == ["class_B"]


def test_encode_takes_names_ids_and_other_integers_side_by_side():
    encoder = ClassLabel(classes=("bird", "cat", "dog")).build(setting=SETTING, codec=None)
    raw = ["dog", 1, np.int64(0), torch.tensor(2), "1"]
    assert encoder.encode(raw).class_B.tolist() == [2, 1, 0, 2, 1]


def test_null_and_condition_fill_the_same_slot_on_the_modules_device():
    encoder = ClassLabel(classes=4).build(setting=SETTING, codec=None).to("meta")
    assert encoder.encode([0, 1]).class_B.device.type == "meta"
    assert encoder.null(2).class_B.device.type == "meta"
    assert encoder.state_dict() == {}


@pytest.mark.parametrize(
    ("classes", "raw", "message"),
    [
        (10, 12, "label 12 is out of range: this model knows 0 … 9"),
        (10, "12", "label 12 is out of range: this model knows 0 … 9"),
        (DIGITS, "12", "label 12 is out of range: this model knows 0 … 9"),
        (10, -1, "label -1 is out of range: this model knows 0 … 9"),
        (10, "-1", "label -1 is out of range: this model knows 0 … 9"),
        (1, 1, "label 1 is out of range: this model knows 0"),
        (10, "seven", "unknown label 'seven': this model knows 0 … 9"),
        (
            ("bird", "cat"),
            "cta",
            "unknown label 'cta'; did you mean 'cat'?: this model knows 0 … 1 (bird, cat)",
        ),
        (("bird", "cat"), "9", "label 9 is out of range: this model knows 0 … 1 (bird, cat)"),
        (10, 3.0, "label 3.0 is neither an id nor a name: this model knows 0 … 9"),
        (10, True, "label True is neither an id nor a name: this model knows 0 … 9"),
        (10, None, "label None is neither an id nor a name: this model knows 0 … 9"),
        (10, "７", "unknown label '７': this model knows 0 … 9"),  # a full-width seven
    ],
)
def test_a_label_the_model_does_not_know_is_refused_with_what_it_knows(classes, raw, message):
    label = ClassLabel(classes=classes)
    with pytest.raises(ValueError) as caught:
        label.check(raw)
    assert str(caught.value) == message
    with pytest.raises(ValueError) as caught:
        label.build(setting=SETTING, codec=None).encode([0, raw])
    assert str(caught.value) == message


def test_a_number_is_always_a_name_where_classes_are_called_by_numbers():
    label = ClassLabel(classes=("1", "2", "5"))
    assert [label.parse(text) for text in ("1", "2", "5")] == [0, 1, 2]
    with pytest.raises(ValueError, match="label 0 is out of range: this model knows 1, 2, 5"):
        label.parse("0")


def test_many_names_are_not_all_told():
    label = ClassLabel(classes=tuple(f"class{i}" for i in range(1000)))
    with pytest.raises(ValueError) as caught:
        label.check(1000)
    assert len(str(caught.value)) < 200
    assert "0 … 999" in str(caught.value)


class TestLearning:
    data = DataInfo(examples=3, classes={"label": ("bird", "cat")})

    @pytest.mark.parametrize("classes", [None, 2, ("bird", "cat")])
    def test_names_come_from_the_data(self, classes):
        learned = ClassLabel(classes=classes, dropout=0.1).learn("label", self.data)
        assert learned == ClassLabel(classes=("bird", "cat"), dropout=0.1)
        assert learned.info(SETTING) == ConditionInfo(classes=3)

    @pytest.mark.parametrize(
        ("classes", "message"),
        [
            (3, "label has 3 classes here and 2 in the data: (bird, cat)"),
            (("cat", "bird"), "the classes of label are (cat, bird) here and (bird, cat) in the data"),
        ],
    )
    def test_other_classes_than_the_datas_are_refused(self, classes, message):
        with pytest.raises(DataError) as caught:
            ClassLabel(classes=classes).learn("label", self.data)
        assert message in str(caught.value)

    def test_data_without_that_label_are_refused(self):
        with pytest.raises(DataError, match="no label called 'breed'; they give label"):
            ClassLabel().learn("breed", self.data)
        with pytest.raises(DataError, match="they give no labels at all"):
            ClassLabel().learn("label", DataInfo(examples=3))

    def test_before_learning_it_says_what_to_do(self):
        unknown = ClassLabel()
        for use in (lambda: unknown.info(SETTING), lambda: unknown.build(setting=SETTING, codec=None)):
            with pytest.raises(ValueError, match="set `classes` to their number or names"):
                use()


@pytest.mark.parametrize("classes", [0, -3, (), ("a", "b", "a"), "ten", 2.0])
def test_impossible_classes_are_refused(classes):
    with pytest.raises(ValidationError):
        ClassLabel(classes=classes)


def test_a_class_token_is_its_row_and_the_null_token_the_last():
    token = ClassToken(classes=("cat", "dog"), width=4)
    assert token.info(SETTING) == ConditionInfo(tokens=4)
    encoder = token.build(setting=SETTING, codec=None)
    weight = encoder.embedding.weight
    assert weight.shape == (3, 4)
    assert torch.equal(encoder.encode(["dog", 0]).tokens_BLD, weight[[1, 0]][:, None])
    assert torch.equal(encoder.null(2).tokens_BLD, weight[[2, 2]][:, None])


def test_latent_diffusions_class_embedder_is_a_class_token():
    """The published ImageNet model's: 1001 rows of 512."""
    (bridge,) = ClassToken.bridges()
    theirs = MemoryTensors({"embedding.weight": torch.randn(1001, 512)})
    inferred = bridge.infer(Foreign(theirs))
    assert (inferred.part.classes, inferred.part.width) == (1000, 512)
    module = inferred.build()
    fill(module, theirs, bridge)
    assert torch.equal(theirs_of(module, bridge)["embedding.weight"], theirs.tensors["embedding.weight"])
    assert bridge.infer(Foreign(MemoryTensors({"other.weight": torch.zeros(1)}))) is None
