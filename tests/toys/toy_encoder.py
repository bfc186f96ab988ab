"""Toy-width encoders with random weights, as Hugging Face folders."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def letters_tokenizer() -> PreTrainedTokenizerFast:
    """One token a letter; the padding id is 1, as RoBERTa's positions expect."""
    vocabulary = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", *LETTERS, *(f"##{x}" for x in LETTERS)]
    ids = {token: at for at, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=32,
    )


def save_toy_encoder(kind: str, folder: Path) -> None:
    """A toy-width encoder with random weights and a tokenizer of letters."""
    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "vocab_size": 4 + 2 * len(LETTERS),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 34,
        "pad_token_id": 1,
    }
    if kind == "bert":
        model: Any = BertModel(BertConfig(**shape), add_pooling_layer=False)
    elif kind == "roberta":
        model = RobertaModel(RobertaConfig(**shape), add_pooling_layer=False)
    else:
        special = {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
        model = ModernBertModel(ModernBertConfig(**shape, **special, local_attention=8))
    model.save_pretrained(folder)
    letters_tokenizer().save_pretrained(folder)
