"""Text ↔ entries of a vocabulary. Oracles: transformers' BertTokenizer on the same vocabulary; the text itself, which
byte pairs give back; counting."""

import json
import random
import string
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Library
from tokenizers import models, pre_tokenizers
from transformers import BertTokenizer

from diffloom_text.learning import END, SMALLEST, SPECIAL, START, learned
from diffloom_text.tokenizer import Tokenizer, tokenizer_of
from diffloom_text.tokenizer_file import read_tokenizer

CAPTIONS = [
    f"{colour} {thing} {place}"
    for colour in ("red", "green", "blue", "Dark red")
    for thing in ("heart", "cat face", "moon")
    for place in ("", "at night", "on a ⟨pad⟩")
]
PIECES = [
    "a",
    "red",
    "heart",
    "un",
    "##s",
    "##der",
    "night",
    "!",
    "?",
    "'",
    ",",
    "中",
    "é",
    "i",
    "##n",
    "b",
    "12",
    "##3",
]
text = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: text.strip())


@pytest.fixture(scope="module")
def pairs():
    return tokenizer_of(learned(CAPTIONS, entries=400))


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    """A small vocab.txt: BERT's special entries somewhere among single letters and a few pieces."""
    letters = [
        *string.ascii_lowercase[2:],
        *(f"##{letter}" for letter in string.ascii_lowercase if letter not in "ns"),
    ]
    path = tmp_path_factory.mktemp("bert") / "vocab.txt"
    entries = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PIECES, *letters]
    path.write_text("\n".join(dict.fromkeys(entries)) + "\n", encoding="utf-8")
    return path


class TestBytePairs:
    @given(text)
    def test_every_text_is_given_back(self, text):
        """In small letters, and with the space that makes a first word like any other."""
        tokenizer = tokenizer_of(learned(CAPTIONS, entries=400))
        library = tokenizer.library
        small = library.normalizer.normalize_str(text)
        wanted = small if small.startswith(" ") else f" {small}"
        words = tokenizer.ids(text)[1:-1]
        assert library.decode(words, skip_special_tokens=False) == wanted
        assert not {0, 1, 2} & set(words), "no text spells the beginning, the end or what fills up"

    @pytest.mark.parametrize("mark", SPECIAL)
    def test_a_mark_that_is_typed_is_text(self, pairs, mark):
        ids = pairs.ids(f"red {mark} heart")
        assert ids.count(1) == ids.count(2) == 1
        assert 0 not in ids
        assert pairs.library.decode(ids[1:-1], skip_special_tokens=False) == f" red {mark} heart"

    @given(st.text(string.printable))
    def test_capitals_are_small_letters(self, text):
        tokenizer = tokenizer_of(learned(CAPTIONS, entries=400))
        assert tokenizer.ids(text) == tokenizer.ids(text.lower()) == tokenizer.ids(text.upper())

    def test_it_begins_and_ends_and_spells_known_words_in_one(self, pairs):
        tokens = [pairs.library.id_to_token(index) for index in pairs.ids("Red heart at night")]
        assert tokens == [START, "Ġred", "Ġheart", "Ġat", "Ġnight", END]
        assert pairs.ids("heart red")[1:-1] == pairs.ids("red heart")[-2:0:-1]
        assert pairs.ids("") == [1, 2]
        assert pairs.padding == 0
        assert [pairs.library.id_to_token(index) for index in range(3)] == list(SPECIAL)

    @given(st.randoms())
    def test_equal_captions_in_any_order_give_one_vocabulary(self, order):
        shuffled = list(CAPTIONS)
        order.shuffle(shuffled)
        assert learned(shuffled, entries=350) == learned(CAPTIONS, entries=350)

    def test_other_captions_give_another(self):
        assert learned([*CAPTIONS, *["purple unicorn"] * 9], entries=350) != learned(CAPTIONS, entries=350)

    def test_the_number_of_entries_is_kept(self, pairs):
        assert pairs.entries <= 400
        assert tokenizer_of(learned(CAPTIONS, entries=280)).entries == 280
        bytes_only = tokenizer_of(learned(CAPTIONS, entries=SMALLEST))
        assert bytes_only.entries == SMALLEST == 259
        assert bytes_only.ids("é") == [1, *(bytes_only.library.token_to_id(x) for x in ("Ġ", "Ã", "©")), 2]
        with pytest.raises(ValueError, match="at least 259 entries, not 258"):
            learned(CAPTIONS, entries=258)

    def test_pairs_that_occur_once_are_not_joined(self):
        tokenizer = tokenizer_of(learned(["zebra zebra", "quail"], entries=1000))
        assert tokenizer.library.token_to_id("Ġzebra") is not None
        assert len(tokenizer.ids("quail")) == 2 + len(" quail")


class TestWordPieces:
    def test_it_is_transformers_tokenizer(self, vocabulary):
        """On three thousand strings of words, letters, accents, controls and Chinese."""
        ours = tokenizer_of(read_tokenizer(vocabulary))
        theirs = BertTokenizer(vocab=str(vocabulary), do_lower_case=True)
        draw = random.Random(0)
        parts = [
            "red",
            "Hearts",
            "UNDER",
            "night",
            "én",
            "é",
            "i",
            "123",
            "中文",
            "a中",
            " ",
            "  ",
            "\t",
            "\u00a0",
            "!?",
        ]
        parts += ["\x07", "\u200d", "x" * 120, "ﬁ", "İ", "ß", "…", "'s", *string.ascii_letters]
        for _ in range(3000):
            prompt = "".join(
                draw.choice(parts) + draw.choice(["", " "]) for _ in range(draw.randrange(1, 12))
            )
            assert ours.ids(prompt) == theirs(prompt)["input_ids"], prompt
        assert ours.padding == theirs.pad_token_id == 0
        assert ours.ids("") == theirs("")["input_ids"] == [3, 4]

    def test_what_it_does_not_know_is_told(self, vocabulary):
        tokenizer = tokenizer_of(read_tokenizer(vocabulary))
        with pytest.warns(
            UserWarning, match="the vocabulary does not know 'Ω', '☃☃': read as one unknown word"
        ):
            tokenizer.check("red Ω heart ☃☃ Ω", length=20)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tokenizer.check("red heart", length=20)

    def test_a_mark_is_no_word(self, vocabulary):
        tokenizer = tokenizer_of(read_tokenizer(vocabulary))
        with pytest.raises(ValueError, match=r"the prompt holds \[SEP\], which is no word"):
            tokenizer.check("red [SEP] heart", length=20)

    def test_a_byte_order_mark_is_no_entry(self, vocabulary, tmp_path):
        (tmp_path / "vocab.txt").write_text("\ufeff" + vocabulary.read_text())
        assert read_tokenizer(tmp_path / "vocab.txt") == read_tokenizer(vocabulary)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                lambda entries: [x for x in entries if x not in ("[SEP]", "[PAD]")],
                r"it has no \[PAD\], \[SEP\]",
            ),
            (lambda entries: [*entries, "heart"], "the entry 'heart' stands twice"),
            (lambda entries: [*entries, "Paris"], "a vocabulary with capitals; give its tokenizer.json"),
            (lambda entries: ["just a text"], "not a BERT vocabulary of one entry in each line"),
        ],
    )
    def test_other_files_are_refused(self, vocabulary, tmp_path, change, message):
        path = tmp_path / "vocab.txt"
        path.write_text("\n".join(change(vocabulary.read_text().splitlines())))
        with pytest.raises(ValueError, match=message) as caught:
            read_tokenizer(path)
        assert str(caught.value).startswith(f"{path}: ")


class TestJson:
    def test_the_librarys_own_file_reads_as_the_library_does(self, vocabulary, tmp_path):
        theirs = BertTokenizer(vocab=str(vocabulary), do_lower_case=True)
        theirs.backend_tokenizer.enable_truncation(4)
        theirs.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
        ours = tokenizer_of(read_tokenizer(tmp_path / "tokenizer.json"))
        assert ours.ids("red hearts under a night") == tokenizer_of(read_tokenizer(vocabulary)).ids(
            "red hearts under a night"
        )
        assert ours.padding == 0

    def test_the_content_is_read_again_as_itself(self, pairs, tmp_path):
        (tmp_path / "words.json").write_text(pairs.content, encoding="utf-8")
        assert read_tokenizer(tmp_path / "words.json") == pairs.content

    def test_an_entry_to_fill_up_with_is_required(self, tmp_path):
        library = Library(models.WordLevel({"red": 0, "?": 1}, unk_token="?"))
        library.pre_tokenizer = pre_tokenizers.Whitespace()
        library.save(str(tmp_path / "words.json"))
        with pytest.raises(ValueError, match="none of the entries"):
            read_tokenizer(tmp_path / "words.json")
        with pytest.raises(ValueError, match="names no entry that fills prompts up"):
            Tokenizer(library.to_str())

    @pytest.mark.parametrize("content", ["{}", "{", json.dumps({"model": {"type": "Martian"}})])
    def test_what_is_no_tokenizer_is_refused(self, tmp_path, content):
        (tmp_path / "x.json").write_text(content)
        with pytest.raises(ValueError, match=r"x\.json: not a tokenizer's JSON"):
            read_tokenizer(tmp_path / "x.json")

    def test_what_cannot_be_read_is_named(self, tmp_path):
        with pytest.raises(
            ValueError, match=r"nowhere\.txt: cannot be read: No such file or directory; give"
        ):
            read_tokenizer(tmp_path / "nowhere.txt")
        (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ValueError, match="binary: cannot be read: not UTF-8 text"):
            read_tokenizer(tmp_path / "binary")


class TestPrompts:
    @pytest.mark.parametrize("raw", [None, 3, b"red", ["red"], object()])
    def test_a_prompt_is_text(self, pairs, raw):
        with pytest.raises(ValueError, match="a prompt is a text, not"):
            pairs.check(raw, length=8)

    @pytest.mark.parametrize("raw", ["", " ", "\n\t"])
    def test_an_empty_prompt_is_refused(self, pairs, raw):
        with pytest.raises(ValueError, match="the prompt is empty; for pictures of no prompt, leave it out"):
            pairs.check(raw, length=8)

    def test_half_a_character_is_refused(self, pairs):
        with pytest.raises(ValueError, match="half a character"):
            pairs.check("red \ud800", length=8)

    def test_what_is_left_of_a_text_without_entries(self, vocabulary):
        with pytest.raises(ValueError, match="has no entries in the vocabulary"):
            tokenizer_of(read_tokenizer(vocabulary)).check("\u200b", length=8)

    def test_what_does_not_fit_is_quoted(self, pairs):
        assert pairs.check("red heart at night", length=6) == "red heart at night"
        with pytest.raises(ValueError) as caught:
            pairs.check("Red heart  at night", length=5)
        assert str(caught.value) == (
            "the prompt has 7 entries with its beginning and end, and the model reads 5; "
            "this would be lost: 'at night'; shorten it"
        )
        with pytest.raises(ValueError, match=r"would be lost: 'heart (heart ){9}…'"):
            pairs.check("red" + " heart" * 99, length=3)
