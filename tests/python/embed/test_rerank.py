import numpy as np
import pytest
import tiny_models

pytest.importorskip("torch", reason="needs the extra embed")
pytest.importorskip("sentence_transformers", reason="needs the extra embed")

pytestmark = pytest.mark.filterwarnings("ignore:::transformers", "ignore:::sentence_transformers")


def cross_encoder(folder, labels=1):
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    tiny_models.bert(folder)
    torch.manual_seed(1)
    config = BertConfig.from_pretrained(folder)
    config.num_labels = labels
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_reranker_scores_pairs_as_the_cross_encoder_does(tmp_path):
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification

    from nearfield.embed import Reranker

    folder = cross_encoder(tmp_path / "model")
    texts = ["the quick brown fox", "lazy dog", "one two three"]
    found = Reranker(folder, batch_size=2)("fox", texts)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = BertForSequenceClassification.from_pretrained(folder).train(False)
    for text, score in zip(texts, found, strict=True):
        with torch.inference_mode():
            logit = model(**tokenizer("fox", text, return_tensors="pt")).logits.item()
        assert score == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-5)
    assert Reranker(folder)("fox", []).shape == (0,)


def test_reranker_refuses_what_gives_no_single_score(tmp_path):
    from nearfield.embed import Reranker

    with pytest.raises(ValueError, match="model must give one score for a pair, got 3"):
        Reranker(cross_encoder(tmp_path / "model", labels=3))
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        Reranker("any", batch_size=0)


def test_reranker_that_is_nowhere_is_refused(monkeypatch):
    from nearfield.embed import Reranker

    monkeypatch.setattr("nearfield.embed.torch_load._hub_answers", lambda: False)
    with pytest.raises(OSError, match="got 'no-org/no-model'"):
        Reranker("no-org/no-model")
