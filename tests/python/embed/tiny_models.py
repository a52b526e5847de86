"""Small models with random weights of the real architectures, saved as folders."""

import json

import numpy as np


def tokenizer_file(path, words, special=("[PAD]", "[UNK]", "[CLS]", "[SEP]")):
    """A tokenizer of whole words, [CLS] and [SEP] put round a text where they are special."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: number for number, word in enumerate([*special, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=special[-3]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if "[CLS]" in special:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
        )
    tokenizer.save(str(path))
    return vocabulary


WORDS = ["the", "a", "quick", "brown", "fox", "jumps", "over", "lazy", "dog"]
WORDS += ["one", "two", "three", "four", "five"]


def bert(folder, side="right"):
    """A BERT of 3 layers, 16-d, whose tokenizer pads on `side`."""
    import torch
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = tokenizer_file(folder / "made.json", WORDS)
    PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "made.json"), pad_token="[PAD]", unk_token="[UNK]",
        cls_token="[CLS]", sep_token="[SEP]", padding_side=side, model_max_length=32,
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=32, initializer_range=0.5,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


def gpt2(folder):
    """A causal model of 2 layers, 16-d, without a token for padding."""
    import torch
    from transformers import GPT2Config, GPT2Model, PreTrainedTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = tokenizer_file(folder / "made.json", WORDS, ("[UNK]", "[X]", "[EOS]"))
    PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "made.json"), unk_token="[UNK]", model_max_length=32,
        padding_side="left",
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(vocabulary), n_embd=16, n_layer=2, n_head=2, n_positions=32,
        bos_token_id=2, eos_token_id=2, initializer_range=0.5,
    )  # fmt: skip
    GPT2Model(config).save_pretrained(folder)
    return folder


def clip(folder):
    """A CLIP of 2 layers, 24-d, that reads letters and 32 x 32 pictures."""
    import torch
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor, CLIPTokenizer
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    folder.mkdir(parents=True, exist_ok=True)
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [*letters, *(letter + "</w>" for letter in letters)]
    names += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[])
    tokenizer.model_max_length = 16
    last = len(names) - 1
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
             "num_attention_heads": 2}  # fmt: skip
    config = CLIPConfig(
        text_config=small | {
            "vocab_size": len(names), "max_position_embeddings": 16, "bos_token_id": last - 1,
            "eos_token_id": last, "pad_token_id": last,
        },
        vision_config=small | {"image_size": 32, "patch_size": 16},
        projection_dim=24,
    )  # fmt: skip
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    pictures = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    CLIPProcessor(pictures, tokenizer).save_pretrained(folder)
    return folder


def sentence_folder(folder, modules):
    """Write the list of modules that makes a transformers folder one of sentence-transformers."""
    listed = []
    for place, (path, kind, config) in enumerate(modules):
        listed.append({"idx": place, "name": str(place), "path": path,
                       "type": f"sentence_transformers.models.{kind}"})  # fmt: skip
        if config is not None:
            (folder / path).mkdir(exist_ok=True)
            (folder / path / "config.json").write_text(json.dumps(config))
    (folder / "modules.json").write_text(json.dumps(listed))
    return folder


def reference_pooling(tokens, name):
    """One text's (t, dim) float64 token vectors as one vector, straight from the definition."""
    t = len(tokens)
    places = np.arange(1, t + 1)
    return {
        "cls": lambda: tokens[0],
        "lasttoken": lambda: tokens[t - 1],
        "mean": lambda: tokens.sum(axis=0) / t,
        "max": lambda: np.array([column.max() for column in tokens.T]),
        "mean_sqrt_len": lambda: tokens.sum(axis=0) / np.sqrt(t),
        "weightedmean": lambda: sum(tokens[i] * places[i] for i in range(t)) / places.sum(),
    }[name]()
