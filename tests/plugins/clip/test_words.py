"""Prompts as token ids. Oracles: transformers' CLIP tokenizer, and open_clip's own where that cleans."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffloom.errors import DiffloomError
from diffloom_clip import ClipWords, HubTokenizer, HubWords

START, END = 49406, 49407

SENTENCES = (
    "A photo of a cat",
    "don't  you'll\twe've\nI'd THEY'RE it's I'm 'S 'LL o'clock rock'n'roll",
    "Crème brûlée, jalapeño, naïve façade, Ångström, Dvořák, Straße, ﬁne ½ ²",
    "decomposed: e\u0301 n\u0303 A\u030a o\u0308\u0304 \u1100\u1161\u11a8",
    "tom &amp; jerry &lt;b&gt; &#39;quoted&#39; &quot;x&quot; &nbsp; &eacute;",
    "😀 👩‍👩‍👧‍👦 🇺🇳 🏳️‍🌈 ✨🔥 ❤️ 🤷🏽‍♀️ text between 🍎🍏",
    "1234567890 3.14159 1,000,000 2e10 0x1F ١٢٣ १२३ ④ Ⅻ ５６",
    "猫の写真 日本語 中文字符 한국어 텍스트 ภาษาไทย हिन्दी عربى עברית",
    "Σίσυφος ΟΔΟΣ ЁЛКА İstanbul IĞDIR ǅ ŒUVRE",
    "“curly” ‘quotes’ – dashes — … « » ‹ ›",
    "mojibake: cafÃ© â€œquotedâ€\x9d schÃ¶n",
    "#hashtag @mention http://example.org/a?b=c&d=e user@example.org $5.00 100% a_b__c --ar 16:9 (((best)))",
    "zero\u200bwidth \ufeffbom soft\u00adhyphen nbsp\u00a0here \u2003em \u3000ideographic\u2028line\u0085next",
    "control \x00 \x07 \x1b[31m \x7f \x1c\x1d",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis " + "aaaa" * 40,
    "ſ 'ſ long s, \u0345 iota below, K kelvin, Ω ohm",
)

RANGES = (
    (0x20, 0x7E),
    (0x20, 0x7E),
    (0xA0, 0x24F),
    (0x300, 0x36F),
    (0x370, 0x52F),
    (0x5D0, 0x6FF),
    (0x900, 0x97F),
    (0xE00, 0xE7F),
    (0x1100, 0x11FF),
    (0x2000, 0x2BFF),
    (0x3040, 0x30FF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),
    (0xFF00, 0xFFEF),
    (0x1F300, 0x1F64F),
)
"""From where letters are drawn: ASCII twice, accents, combining marks, a dozen scripts, symbols, emoji."""

Ids = Callable[[str], list[int]]


def drawn(count: int) -> Iterator[str]:
    """Texts of the sentences' words in new orders and cases, and of letters from everywhere."""
    chance = random.Random(3)
    vocabulary = " ".join(SENTENCES).split(" ")
    changes = (str.upper, str.title, str.swapcase, str)
    for _ in range(count // 2):
        words = chance.choices(vocabulary, k=chance.randint(1, 12))
        yield chance.choice((" ", "  ", "\n", "")).join(chance.choice(changes)(word) for word in words)
        letters = (chr(chance.randint(*chance.choice(RANGES))) for _ in range(chance.randint(1, 24)))
        yield "".join(letter for letter in letters if unicodedata.category(letter) != "Cn")


TEXTS = [text for text in (*SENTENCES, *drawn(4000)) if text.strip()]


def ours(text: str, *, cleaning: str = "nfc") -> list[int]:
    """Our ids of a text, whole."""
    (row,) = ClipWords(context_length=1024, cleaning=cleaning, pad="end").tokens(text, chunks=1).rows
    return list(row[: row.index(END) + 1])


@pytest.fixture(scope="module")
def theirs(make_tokenizer: Callable[..., Any]) -> Ids:
    """transformers' ids of a text, whole."""
    tokenizer = make_tokenizer(model_max_length=10**6)
    return lambda text: tokenizer(text).input_ids


def test_thousands_of_texts_are_the_tokens_of_transformers(theirs: Ids) -> None:
    assert len(TEXTS) > 3900
    assert len(set("".join(TEXTS))) > 3000
    assert [text for text in TEXTS if ours(text) != theirs(text)] == []


LETTERS = st.characters(max_codepoint=0x7FF, exclude_categories=["Cn"]) | st.characters(
    min_codepoint=0x800, exclude_categories=["Cs", "Cn", "M"]
)
"""All there are, but for marks of young scripts: transformers' tables do not know their order."""


@given(text=st.text(LETTERS, min_size=1, max_size=40).filter(str.strip))
def test_any_text_is_the_tokens_of_transformers(theirs: Ids, text: str) -> None:
    assert ours(text) == theirs(text)


def test_mending_cleans_like_open_clip(library: ModuleType) -> None:
    wanted = library.tokenize(TEXTS[:400], context_length=1024).tolist()
    found = [ours(text, cleaning="ftfy") for text in TEXTS[:400] if text.strip()]
    assert found == [row[: row.index(END) + 1] for row in wanted]
    assert ours("tom &amp; jerry") != ours("tom &amp; jerry", cleaning="ftfy") == ours("Tom & Jerry")


def test_what_is_left_blank_by_mending_is_refused() -> None:
    with pytest.raises(ValueError, match="'&nbsp;' has no tokens; for pictures of no prompt, leave it out"):
        ours("&nbsp;", cleaning="ftfy")


@given(
    text=st.text("abc é1", max_size=60).filter(lambda text: not text.isspace()),
    context=st.integers(3, 12),
    chunks=st.integers(1, 4),
)
def test_chunks_hold_a_prompt_in_order(text: str, context: int, chunks: int) -> None:
    """Between their starts and ends they hold what the prompt's own tokens are, and `lost` is the rest."""
    words = ClipWords(context_length=context)
    whole, room = words.encoding.encode(text), chunks * (context - 2)
    tokens = words.tokens(text, chunks=chunks)
    assert len(tokens.rows) == chunks
    assert {len(row) for row in tokens.rows} == {context}
    held: list[int] = []
    for row in tokens.rows:
        assert row[0] == START
        end = row.index(END)
        held += row[1:end]
        assert set(row[end + 1 :]) <= {0}
    assert held == whole[:room]
    assert (tokens.count, tokens.cut) == (len(whole), max(len(whole) - room, 0))
    assert tokens.lost == words.encoding.decode(whole[room:]).strip()


@pytest.mark.parametrize(("pad", "filler"), [("end", END), ("zero", 0)])
def test_rows_are_filled_up_as_asked(pad: str, filler: int, make_tokenizer: Callable[..., Any]) -> None:
    """Oracle: transformers' tokenizer with the pad tokens of Stable Diffusion 1.x and 2.x."""
    tokenizer = make_tokenizer(model_max_length=77, pad_token="<|endoftext|>" if pad == "end" else "!")
    (row,) = ClipWords(context_length=77, pad=pad).tokens("a cat", chunks=1).rows
    assert list(row) == tokenizer("a cat", padding="max_length").input_ids
    assert row == (START, 320, 2368, END, *[filler] * 73)


@pytest.fixture(scope="module")
def hub_folder(library: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of the transformers library, as SigLIP's towers have: words, an end, padding."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {
        word: i for i, word in enumerate(("<pad>", "</s>", "<unk>", "a", "red", "heart", "blue", "moon"))
    }
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    folder = tmp_path_factory.mktemp("hub")
    PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    return folder


def test_tokenizers_of_other_towers_are_open_clips(library: ModuleType, hub_folder: Path) -> None:
    tokenizer = HubTokenizer(name=str(hub_folder), clean="canonicalize")
    words = HubWords(context_length=5, tokenizer=tokenizer)
    oracle = library.tokenizer.HFTokenizer(str(hub_folder), context_length=5, clean="canonicalize")
    for prompt in ("a red, HEART!", "Blue_moon", "a red red blue heart moon", ""):
        (row,) = words.tokens(prompt, chunks=1).rows
        assert list(row) == oracle(prompt)[0].tolist()
    assert words.tokens("a red heart", chunks=1).lost == ""
    assert words.tokens("a red red red", chunks=1).lost == ""  # with its end it fits
    assert words.tokens("a red red blue heart moon", chunks=1).lost == "heart moon"
    with pytest.raises(ValueError, match="has no tokens"):
        words.tokens("!?", chunks=1)


def test_a_tokenizer_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    with pytest.raises(DiffloomError, match=r"the tokenizer .*nowhere cannot be read"):
        HubWords(context_length=5, tokenizer=HubTokenizer(name=str(tmp_path / "nowhere"))).tokens(
            "a", chunks=1
        )
