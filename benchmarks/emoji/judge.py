"""How often the training picture nearest to a sample carries a word of its prompt, against chance.

    python benchmarks/emoji/judge.py runs/emoji_text data/emoji32 --guidance 4 -o samples.png

For 100 captions of the training pictures, and for 100 new ones recombined from known words. Chance is exact: the mean
share of training pictures whose caption has a word of the prompt.
"""

import json
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
from features import features, nearest
from PIL import Image
from prompts import known, recombined, words

import diffloom
from diffloom.pictures import grid

PICTURED = 32
"""Samples of each sort that are drawn into the picture."""


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path, help="the training pictures, with captions.jsonl")
    parser.add_argument("--guidance", type=float, default=4.0)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()

    lines = [json.loads(line) for line in (options.folder / "captions.jsonl").open(encoding="utf-8")]
    captions = [line["caption"] for line in lines]
    pictures = np.stack(
        [np.asarray(Image.open(options.folder / line["file"]).convert("RGB")) for line in lines]
    )
    training_NF = features(pictures)
    pipe = diffloom.load(options.run)
    tiles, figures = [], {}
    for sort, make in (("training captions", known), ("recombined captions", recombined)):
        prompts = make(captions, options.count, seed=options.seed)
        out = pipe.sample(
            prompt=prompts,
            seed=options.seed,
            steps=options.steps,
            sampler="ddim",
            spacing="trailing",
            guidance=options.guidance,
            batch_size=50,
        )
        drawn = np.stack([np.asarray(image.convert("RGB")) for image in out.images])
        near = [captions[i] for i in nearest(features(drawn), training_NF)]
        figures[sort] = {
            "prompts": len(prompts),
            "nearest_has_a_word": share(words(p) & words(c) for p, c in zip(prompts, near, strict=True)),
            "nearest_is_the_captioned": share(p == c for p, c in zip(prompts, near, strict=True)),
            "chance": float(np.mean([share(words(p) & words(c) for c in captions) for p in prompts])),
        }
        tiles += out.images[:PICTURED]
        for prompt, caption in list(zip(prompts, near, strict=True))[:PICTURED]:
            print(f"{prompt!r}: nearest {caption!r}")
    print(json.dumps(figures, indent=2))
    if options.output:
        grid(tiles, columns=16).save(options.output)


def share(found) -> float:
    """How many are true, or not empty, of all."""
    return float(np.mean([bool(item) for item in found]))


if __name__ == "__main__":
    main()
