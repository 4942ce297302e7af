"""Captioned emoji in one .npz (pictures `x32`/`x64`, `caption`) → a folder of PNGs with captions.jsonl.

python benchmarks/emoji/export.py noto_emoji_32_64.npz data/emoji64 --size 64
"""

import json
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
from PIL import Image


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=[32, 64], type=int, default=64)
    options = parser.parse_args()
    with np.load(options.source, allow_pickle=False) as data:
        pictures_NHWC, captions = data[f"x{options.size}"], data["caption"]
    options.folder.mkdir(parents=True)
    with (options.folder / "captions.jsonl").open("w", encoding="utf-8") as file:
        for index, (picture_HWC, caption) in enumerate(zip(pictures_NHWC, captions, strict=True)):
            name = f"{index:04d}.png"
            Image.fromarray(picture_HWC).save(options.folder / name)
            file.write(json.dumps({"file": name, "caption": str(caption)}, ensure_ascii=False) + "\n")
    print(f"{options.folder}: {len(captions)} pictures")


if __name__ == "__main__":
    main()
