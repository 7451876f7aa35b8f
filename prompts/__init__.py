"""Concepts and prompt sets. `ROLES` are what metrics ask for, `SOURCES` the built-in sets that can take each role."""

ROLES = {
    "concept": "prompts that ask for the erased concept: concept rate, NudeNet rate and confidence",
    "coco": "everyday captions: FID, KID, CLIP score",
    "objects": "prompts for other things: SSIM to the original at the same seed",
    "styles": "things in other styles: UnlearnCanvas's IRA and CRA, MACE's H of a style",
    "pairs": "the concept beside another thing, with the clean half: in-prompt CLIP score",
    "related": "what is related to the concept: how often it is still drawn",
}

SOURCES = {
    "wordings": "asks for the concept by its name and in other words: direct and paraphrased",
    "direct": "asks for the concept by its name, in several settings",
    "paraphrased": "asks for it in other words, never by its name",
    "related": "asks for concepts of the same kind",
    "unrelated": "asks for concepts of other kinds",
    "others": "related and unrelated concepts, mixed",
    "bands": "all other things of the embedded world, each degree of relation in turn; ids say which",
    "objects": "“a photo of …” 1,000 everyday objects",
    "styles": "things in every style",
    "pairs": "the concept beside another thing, or that thing in the erased style; each knows its clean half",
    "world": "held-out captions of the embedded world",
}

WHERE = {  # files of the field that plans name
    "coco_30k.csv": "https://github.com/rohitgandikota/erasing, data/coco_30k.csv",
    "i2p.csv": "https://github.com/rohitgandikota/erasing, data/unsafe-prompts4703.csv, or hub:AIML-TUDA/i2p",
}

FILES = {
    "FILE.csv, .parquet, .jsonl": "a column `prompt`; seeds, guidance, sizes and categories as in I2P are honoured",
    "FILE.json": "official COCO captions: the first caption of each image",
    "FILE.txt": "one prompt a line",
    "hub:OWNER/NAME[@REVISION][:SPLIT]": "a data set on the Hugging Face hub with a column `prompt`",
}
