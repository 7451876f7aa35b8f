"""The sensitivity spectrum: scores by the shortest code, shortcuts against the plain path, resume, vocabularies."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from erasebench.engine.run import run
from erasebench.errors import BenchError
from erasebench.metrics.spectrum import mean_interval
from erasebench.models.patch import Patch, attached, snapshot
from erasebench.models.random_weights import new_unet
from erasebench.models.text_to_image import TextToImage
from erasebench.prompts.concepts import get_concept
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan
from erasebench.spectrum.blocks import ErasedModel
from erasebench.spectrum.command import bands, named_concepts, picked_words, run_image_spectrum, run_spectrum
from erasebench.spectrum.draws import SAMPLER_STEPS, Latents, noise_levels, shared_draws
from erasebench.spectrum.forward import can_share, gflop_a_text, predict_for_texts
from erasebench.spectrum.request import SpectrumRequest
from erasebench.spectrum.scan import scan, scores_of
from erasebench.spectrum.summary import concept_table, correlations, named_table
from erasebench.spectrum.vocabulary import Vocabulary, clip_vocabulary, read_vocabulary
from erasebench.storage.files import write_json


@pytest.fixture(scope="module")
def words(mini: TextToImage) -> Vocabulary:
    return clip_vocabulary(mini.tokenizer)


def noisy(model: TextToImage, seed: int, size: float = 0.5) -> Patch:
    """Changed cross-attention weights."""
    generator = torch.Generator().manual_seed(seed)
    state = {
        name: value for name, value in model.unet.state_dict().items() if "attn2.to_k" in name or "attn2.to_v" in name
    }
    return {name: value + size * torch.randn(value.shape, generator=generator) for name, value in state.items()}


def erased(model: TextToImage, name: str = "esd", seed: int = 1) -> ErasedModel:
    return ErasedModel(name, f"key {seed}", lambda: noisy(model, seed))


def some(words: Vocabulary, count: int = 24) -> Vocabulary:
    return words.only(np.random.default_rng(0).choice(len(words), count, replace=False).tolist(), "some")


def test_the_vocabulary_is_the_tokenizers(mini: TextToImage, words: Vocabulary) -> None:
    tokenizer = mini.tokenizer
    assert len(words) == 49_408 - 2
    assert list(words.ids) == sorted(words.ids)
    assert not set(words.ids) & set(tokenizer.all_special_ids)
    assert not any("</w>" in text for text in words.texts)
    for k in np.random.default_rng(1).choice(len(words), 300, replace=False):
        assert words.texts[k] == tokenizer.decode([words.ids[k]]).strip() or "\ufffd" in words.texts[k]
        if words.is_word[k]:
            assert tokenizer(words.texts[k]).input_ids[1:-1] == [words.ids[k]]
    assert sum(words.is_word) == 33_020  # 32,875 of them in the Latin alphabet
    assert sum(w and text.isascii() for w, text in zip(words.is_word, words.texts, strict=True)) == 32_875
    assert "cat" in words.only([k for k in range(len(words)) if words.is_word[k]], "words").texts


@pytest.mark.slow
def test_scores_are_those_of_the_shortest_code(mini: TextToImage, words: Vocabulary, tmp_path: Path) -> None:
    chosen = some(words, 8)
    found = scan(mini, [erased(mini)], chosen, tmp_path, Latents(3, 2, 5), batch_size=3).differences["esd"]
    found = found.reshape(8, 6)
    draws = shared_draws(mini, Latents(3, 2, 5))
    for k, text in enumerate(chosen.texts):
        context = mini.encode([text])
        for j, draw in enumerate(draws):
            with torch.no_grad():
                before = mini.unet(draw.z, draw.t, context).sample
                with attached(mini, noisy(mini, 1)):
                    after = mini.unet(draw.z, draw.t, context).sample
            assert found[k, j] == pytest.approx(float(((after - before) ** 2).mean()), rel=1e-4)


@pytest.mark.slow
def test_the_draws_lie_at_several_exact_levels_two_at_each(mini: TextToImage) -> None:
    assert noise_levels(4) == [6, 18, 31, 43]
    draws = shared_draws(mini, Latents(4, 2, 0))
    assert [draw.t for draw in draws] == [mini.timesteps(SAMPLER_STEPS)[k] for k in noise_levels(4) for _ in range(2)]
    assert not torch.equal(draws[0].z, draws[1].z)
    again = shared_draws(mini, Latents(4, 2, 0))
    assert all(torch.equal(a.z, b.z) for a, b in zip(draws, again, strict=True))
    assert not torch.equal(draws[0].z, shared_draws(mini, Latents(1, 1, 1))[0].z)


def test_the_standard_error_is_of_the_spread_within_levels() -> None:
    """Levels far apart, as noise levels are: a simulation of what other latents would have given."""
    rng = np.random.default_rng(0)
    means = np.array([1.0, 10.0, 100.0, 1000.0])[:, None]
    values = rng.normal(means, 0.5, (20_000, 4, 2))
    scores, errors = scores_of({"x": values})["x"]
    assert np.sqrt((errors**2).mean()) == pytest.approx(scores.std(), rel=0.02)
    assert np.isnan(scores_of({"x": values[:, :, :1]})["x"][1]).all()


def test_the_metrics_interval_covers_words_and_latents() -> None:
    """Words and latents both drawn anew each time; the words' part alone would cover a third as often."""
    rng, covered, narrow = np.random.default_rng(0), [], []
    level = np.array([1.0, 2.0, 4.0, 8.0])[:, None]
    for _ in range(2000):
        values = 20 + level + rng.normal(0, 1, (64, 1, 1)) + rng.normal(0, 1, (1, 4, 2)) + rng.normal(0, 1, (64, 4, 2))
        mean, low, high, *_ = mean_interval(values)
        covered.append(low <= 20 + level.mean() <= high)
        margin = 1.96 * values.mean((1, 2)).std(ddof=1) / 8
        narrow.append(abs(mean - 20 - level.mean()) <= margin)
    assert np.mean(covered) >= 0.92
    assert np.mean(narrow) < 0.6


def test_a_spectrum_is_in_float32_or_not_at_all(mini: TextToImage, words: Vocabulary, tmp_path: Path) -> None:
    try:
        mini.set_precision("bf16")
        with pytest.raises(ValueError, match="needs a model in float32"):
            scan(mini, [erased(mini)], some(words, 2), tmp_path)
    finally:
        mini.set_precision("fp32")


def test_the_shared_part_changes_no_prediction(mini: TextToImage) -> None:
    z, contexts = mini.noise([3]), mini.encode(["a cat", "a red bus", "", "naïve 🙂"])
    for t in (981, 500, 1):
        with torch.no_grad():
            plain = mini.unet(z.expand(4, -1, -1, -1), t, contexts).sample
            assert torch.allclose(predict_for_texts(mini, z, t, contexts), plain, atol=1e-5)


@pytest.mark.slow
def test_stable_diffusions_unet_has_the_form_that_is_shared() -> None:
    """A narrow one, of the full one's block types."""
    with torch.device("meta"):  # its configuration is all that is needed
        full = new_unet()
    config = {**full.config, "block_out_channels": (32, 64, 64, 64), "cross_attention_dim": 16, "sample_size": 16}
    torch.manual_seed(0)
    unet = type(full).from_config({**config, "attention_head_dim": 8}).eval()
    assert can_share(unet)
    z, contexts = torch.randn(1, 4, 16, 16), torch.randn(3, 77, 16)
    with torch.no_grad():
        plain = unet(z.expand(3, -1, -1, -1), 321, contexts).sample
        assert torch.allclose(
            predict_for_texts(cast(TextToImage, SimpleNamespace(unet=unet)), z, 321, contexts), plain, atol=1e-5
        )


def test_another_form_takes_the_plain_path(mini: TextToImage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erasebench.spectrum.forward.can_share", lambda unet: False)
    z, contexts = mini.noise([3]), mini.encode(["a cat", "a bus"])
    with torch.no_grad():
        plain = mini.unet(z.expand(2, -1, -1, -1), 500, contexts).sample
        assert torch.equal(predict_for_texts(mini, z, 500, contexts), plain)


@pytest.mark.slow
def test_batch_size_and_blocks_change_no_score(
    mini: TextToImage, words: Vocabulary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = some(words)
    whole = scan(mini, [erased(mini)], chosen, tmp_path / "a", Latents(1, 2), batch_size=24)
    monkeypatch.setattr("erasebench.spectrum.scan.BLOCK", 5)
    parts = scan(mini, [erased(mini)], chosen, tmp_path / "b", Latents(1, 2), batch_size=2)
    assert np.allclose(whole.differences["esd"], parts.differences["esd"], rtol=1e-4)
    assert np.allclose(whole.embeddings, parts.embeddings, atol=1e-5)


@pytest.mark.slow
def test_a_second_method_and_a_resumed_scan_compute_only_what_is_missing(
    mini: TextToImage, words: Vocabulary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("erasebench.spectrum.scan.BLOCK", 8)
    chosen = some(words)

    def forwards(work: Callable[[], object]) -> int:
        before = mini.forwards.without_gradient
        work()
        return mini.forwards.without_gradient - before - drawing

    before = mini.forwards.without_gradient
    shared_draws(mini, Latents(1, 2, 0))
    drawing = mini.forwards.without_gradient - before

    class Stop(Exception):
        pass

    def stop(done: int, text: str, total: int) -> None:
        if done == 2 * (24 + 8):  # all of the original, a block of the erased
            raise Stop

    with pytest.raises(Stop):
        scan(mini, [erased(mini)], chosen, tmp_path, Latents(1), report=stop)
    assert forwards(lambda: scan(mini, [erased(mini)], chosen, tmp_path, Latents(1))) == 16 * 2
    both = [erased(mini), erased(mini, "sdd", 2)]
    assert forwards(lambda: scan(mini, both, chosen, tmp_path, Latents(1))) == 24 * 2
    assert forwards(lambda: scan(mini, both, chosen, tmp_path, Latents(1))) == 0
    resumed = scan(mini, both, chosen, tmp_path, Latents(1)).differences
    straight = scan(mini, both, chosen, tmp_path / "straight", Latents(1)).differences
    assert all(np.array_equal(resumed[name], straight[name]) for name in straight)
    torn = next((tmp_path / "sdd").iterdir())
    torn.write_bytes(torn.read_bytes()[:40])
    assert forwards(lambda: scan(mini, both, chosen, tmp_path, Latents(1))) == 8 * 2
    changed = [erased(mini, "esd", 3)]  # other weights under the same name
    assert forwards(lambda: scan(mini, changed, chosen, tmp_path, Latents(1))) == 24 * 2


def test_what_the_tokenizer_reads_alike_is_computed_once(mini: TextToImage, tmp_path: Path) -> None:
    texts = ("cat", "cat", "Cat ", "a cat", "dog", "cat", "dog")
    twice = Vocabulary("twice", texts, tuple(range(len(texts))), (True,) * len(texts))
    found = scan(mini, [erased(mini)], twice, tmp_path, Latents(1))
    assert found.predictions == 3 * 2 * 2
    scores = found.differences["esd"]
    assert (scores[[0, 0, 0, 4]] == scores[[1, 2, 5, 6]]).all()
    assert len(np.unique(scores[:, 0, 0])) == 3
    plain = scan(mini, [erased(mini)], twice.only([3, 4], "few"), tmp_path / "plain", Latents(1))
    assert np.allclose(plain.differences["esd"], scores[[3, 4]], rtol=1e-4)
    assert np.allclose(plain.embeddings, found.embeddings[[3, 6]], atol=1e-5)


def test_the_flops_that_are_shared_are_counted_once(mini: TextToImage) -> None:
    z, contexts = mini.noise([3]), mini.encode(["a cat"] * 8)
    one, eight = (gflop_a_text(mini, z, 500, contexts[:count]) for count in (1, 8))
    assert eight < 0.9 * one


def test_a_scan_leaves_the_model_as_it_was(mini: TextToImage, words: Vocabulary, tmp_path: Path) -> None:
    before = snapshot(mini.unet)
    scan(mini, [erased(mini)], some(words, 4), tmp_path, Latents(1))
    assert all(torch.equal(before[name], value) for name, value in mini.unet.state_dict().items())


def test_an_unchanged_model_scores_zero_and_a_larger_change_lower(
    mini: TextToImage, words: Vocabulary, tmp_path: Path
) -> None:
    models = [
        ErasedModel("none", "0", dict),
        *(ErasedModel(f"by {s}", str(s), lambda s=s: noisy(mini, 1, s)) for s in (0.1, 0.5)),
    ]
    spectrum = scan(mini, models, some(words, 8), tmp_path, Latents(1))
    scores = {name: concept_table(spectrum, name)["score"] for name in spectrum.differences}
    assert (scores["none"] == 0).all()
    assert (scores["by 0.1"] > scores["by 0.5"]).all()


@pytest.mark.slow
def test_tables_rank_and_place(mini: TextToImage, words: Vocabulary, tmp_path: Path) -> None:
    spectrum = scan(mini, [erased(mini), erased(mini, "sdd", 2)], some(words), tmp_path, Latents(3))
    table = concept_table(spectrum, "esd")
    assert list(table) == ["concept", "token_id", "is_word", "score", "standard_error", "rank"]
    assert table.loc[table["rank"] == 1, "score"].iloc[0] == table["score"].min()
    changes = spectrum.differences["esd"]
    expected = -changes.mean((1, 2))
    assert np.allclose(table["score"], expected)
    assert np.allclose(table["standard_error"], (changes.var(2, ddof=1).sum(1) / 2) ** 0.5 / 3)
    named, kinds = named_concepts(get_concept("nudity"), related=bands(get_concept("nudity"), 20))
    assert (kinds["nudity"], kinds["woman"], kinds["bamboo"], kinds[""]) == (
        "erased",
        "related",
        "unrelated",
        "neutral",
    )
    of_named = scan(mini, [erased(mini)], named, tmp_path, Latents(3))
    placed = named_table(spectrum, of_named, "esd", kinds, bands(get_concept("nudity")))
    assert set(placed.loc[placed["concept"].isin(["woman", "man"]), "band"]) == {"figure"}
    assert placed.set_index("concept").loc["church", "band"] == "thing"
    first = placed.iloc[0]
    assert first["rank"] == 1 + (table["score"] < first["score"]).sum()
    assert placed["percentile"].between(0, 100).all()
    square = correlations(spectrum, ["esd", "sdd"]).set_index("row")
    ranks = [concept_table(spectrum, name)["score"].rank() for name in ("esd", "sdd")]
    assert square.loc["esd", "sdd"] == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert square.loc["esd", "esd"] == 1


def test_a_file_with_duplicates_blanks_long_entries_and_emoji(mini: TextToImage, tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text(f"cat\n\n  dog \ncat\n🙂 smile\n{'word ' * 100}\nnaïve\n")
    found = read_vocabulary(str(path), mini.tokenizer)
    assert found.texts[:3] == ("cat", "dog", "🙂 smile")
    assert found.ids == (1, 3, 5, 6, 7)
    assert found.is_word == (True, True, False, False, True)
    assert "1 entries stand there twice" in found.remark
    assert "1 entries are longer than 77 tokens and are cut: word word" in found.remark
    spectrum = scan(mini, [erased(mini)], found, tmp_path / "blocks", Latents(1))
    assert np.isfinite(spectrum.differences["esd"]).all()


@pytest.mark.slow
def test_a_sample_is_random_of_whole_words_and_grows(mini: TextToImage, tmp_path: Path) -> None:
    """The first entries of CLIP's vocabulary are punctuation and broken bytes."""
    small, large = (read_vocabulary("clip", mini.tokenizer, count) for count in (128, 1024))
    assert small.name == "words"
    assert all(small.is_word)
    assert large.texts[:128] == small.texts
    assert small.remark == "a random sample of 128 of 33,020 entries"
    assert read_vocabulary("words", mini.tokenizer, 128) == small
    assert 12_000 < np.median(large.ids) < 37_000  # over the whole vocabulary, not its frequent beginning
    path = tmp_path / "few.txt"
    path.write_text("a garbage truck\na cat\na dog\n")
    few = read_vocabulary(str(path), mini.tokenizer, 2)
    assert len(few) == 2
    assert few.remark == "a random sample of 2 of 3 entries"
    assert read_vocabulary(str(path), mini.tokenizer, 3).texts == ("a garbage truck", "a cat", "a dog")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "\n \n", "holds no concept"),
        ("a.csv", "id,text\n1,x\n", "none of the columns concept, word, prompt; it has id, text"),
        ("absent.txt", None, "a file that exists"),
    ],
)
def test_wrong_vocabularies(mini: TextToImage, tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(BenchError, match=message):
        read_vocabulary(str(tmp_path / name), mini.tokenizer)


def test_a_column_of_words(mini: TextToImage, tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_text("word\na\nnull\nNA\n")
    assert read_vocabulary(str(path), mini.tokenizer).texts == ("a", "null", "NA")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("spectrum") / "run")
    plan = Plan(methods=["uce", "time"], metrics=["concept_rate"], images=1, generation=Generation(steps=2))
    run(plan, folder, "cpu")
    return folder


@pytest.mark.slow
def test_a_finished_run_gets_its_spectrum(finished: RunFolder) -> None:
    files, lines = run_spectrum(finished, SpectrumRequest((), "words", 40, levels=1, csv=True), "cpu")
    pattern = r"\d+ predictions in \d+ s: [\d.]+ concepts a second through one model, \d+% of .* limit"
    assert re.fullmatch(pattern, lines[-1])
    assert "2 latents each, from the spread within levels: they cover which latents were drawn" in lines[-2]
    assert lines[-3] == "40 entries of words: a random sample of 40 of 33,020 entries."
    for text, label in zip(lines, ("UCE", "TIME"), strict=False):
        assert re.fullmatch(rf"{label}\n  most affected: (\w+, ){{9}}\w+\n  least affected: (\w+, ){{9}}\w+", text)
    names = {file.name for file in files}
    tables = {f"{row}.{suffix}" for row in ("uce", "time") for suffix in ("parquet", "csv", "json")}
    assert names == {*tables, "correlations.csv", "spectrum.png"}
    target = finished.root / "spectrum"
    table = pd.read_parquet(target / "uce.parquet")
    assert len(table) == 40
    assert table["is_word"].all()
    told = json.loads((target / "uce.json").read_text())
    places = {entry["concept"]: entry for entry in told["named"]}
    assert places["nudity"]["rank"] == 1
    assert {"", "a photo", "woman", "bamboo"} <= set(places)
    assert (told["levels"], told["draws"], told["vocabulary"], told["words"]) == (1, 2, "words", 40)
    assert told["standard_error"] == lines[-2]
    with Image.open(target / "spectrum.png") as picture:
        assert picture.size[0] > picture.size[1]
    before = [file.read_bytes() for file in files if file.suffix != ".png"]
    _, lines = run_spectrum(finished, SpectrumRequest(("uce", "time"), "words", 40, levels=1, csv=True), "cpu")
    assert lines[-1] == "every prediction was stored already"
    assert before == [file.read_bytes() for file in files if file.suffix != ".png"]


@pytest.mark.slow
def test_images_of_the_same_seed_are_compared(finished: RunFolder, tmp_path: Path) -> None:
    path = tmp_path / "few.txt"
    path.write_text("nudity\ncat\n")
    files = run_image_spectrum(finished, SpectrumRequest(("uce",), str(path)), "cpu")
    assert [file.name for file in files] == ["uce.images.csv", "uce.images.png"]
    table = pd.read_csv(files[0]).set_index("concept")
    assert (table["n"] == 2).all()
    assert table["score"].between(-1, 1).all()
    with pytest.raises(BenchError, match="at most 500 concepts"):
        run_image_spectrum(finished, SpectrumRequest(("uce",), "words", 501), "cpu")


def test_the_words_of_an_adversarial_search_are_named(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    steps = [{"role": "update", "sampled": word} for word in ("tree", "sea", "tree")]
    steps += [{"role": "update", "sampled": "sea", "favourite": "tree"}]  # what is best, not what was drawn by chance
    write_json(folder.erasure("adversarial-preservation", 0), {"history": [*steps, {"role": "ascent", "sampled": "x"}]})
    assert picked_words(folder, ["esd", "adversarial-preservation"], 0) == ["tree", "sea"]
    _, kinds = named_concepts(get_concept("nudity"), ["sea", "cat", "nudity"])
    assert [kinds[word] for word in ("sea", "cat", "nudity", "dog")] == ["adversarial"] * 2 + ["erased", "unrelated"]


def test_a_limit_leaves_some_things_of_every_band() -> None:
    every, some = bands(get_concept("garbage truck")), bands(get_concept("garbage truck"), 6)
    assert len(some) == 6 < len(every)
    assert set(some.values()) == set(every.values())
    assert some.items() <= every.items()


def test_wrong_rows_and_seeds_say_so(finished: RunFolder) -> None:
    with pytest.raises(BenchError, match=r"unknown row 'esd'"):
        run_spectrum(finished, SpectrumRequest(("esd",), "words", 4, levels=1), "cpu")
