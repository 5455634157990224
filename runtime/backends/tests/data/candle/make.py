"""Makes the fixtures of `tests/candle.rs`: tiny models with random weights, and what Hugging Face's transformers computes.

Run by hand when an architecture is added; the results are committed. Fixtures that exist are left alone unless they are
named, so that a newer torch does not rewrite them all:

    python3 -m venv /tmp/fixtures
    /tmp/fixtures/bin/pip install torch transformers safetensors
    /tmp/fixtures/bin/python runtime/backends/tests/data/candle/make.py [NAME...]

Each folder holds `config.json` and `model.safetensors` as `save_pretrained` writes them, and `expected.json`: two batches
with their hidden states, pooled vectors (mean, cls, last) and, for a classifier, logits. In batch `right`, rows are padded
on the right. In batch `left`, one row is padded on the left and one has a hole; transformers classifies and pools the
token in column 0 there whether it is masked or not, so only the hidden states of that batch are kept.

Made with torch 2.15.0 and transformers 5.23.0, in f32 on the CPU.
"""

import json
import pathlib
import sys

import torch
import transformers

FOLDER = pathlib.Path(__file__).parent
VOCABULARY, HIDDEN, HEADS, LAYERS, INNER, POSITIONS, LABELS, LENGTH = 64, 32, 4, 2, 48, 24, 3, 7

BERT = dict(
    vocab_size=VOCABULARY, hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
    intermediate_size=INNER, max_position_embeddings=POSITIONS, num_labels=LABELS,
)
ROBERTA = dict(BERT, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2, layer_norm_eps=1e-5)
DISTILBERT = dict(
    vocab_size=VOCABULARY, dim=HIDDEN, n_layers=LAYERS, n_heads=HEADS, hidden_dim=INNER,
    max_position_embeddings=POSITIONS, num_labels=LABELS,
)

# name: (class, config class, options). The activations are spread over the fixtures.
FIXTURES = {
    "bert": ("BertModel", "BertConfig", dict(BERT, hidden_act="gelu")),
    "bert-classifier": ("BertForSequenceClassification", "BertConfig", dict(BERT, hidden_act="gelu_new")),
    "roberta-classifier": ("RobertaForSequenceClassification", "RobertaConfig", dict(ROBERTA, hidden_act="gelu")),
    "xlm-roberta": ("XLMRobertaModel", "XLMRobertaConfig", dict(ROBERTA, hidden_act="relu")),
    "distilbert": ("DistilBertModel", "DistilBertConfig", dict(DISTILBERT, activation="relu")),
    "distilbert-classifier": ("DistilBertForSequenceClassification", "DistilBertConfig", dict(DISTILBERT, activation="gelu")),
}

MASKS = {
    "right": [[1] * 7, [1] * 4 + [0] * 3, [1] * 4 + [0] * 3, [1] + [0] * 6],
    "left": [[0, 0, 1, 1, 1, 1, 1], [1, 1, 0, 1, 1, 0, 0], [1] * 7],
}


def randomise(model):
    """Weights large enough that a wrong wiring shows, with no two LayerNorms or biases alike."""
    for name, parameter in model.named_parameters():
        if "norm" in name.lower() and name.endswith("weight"):
            torch.nn.init.normal_(parameter, mean=1.0, std=0.2)
        else:
            torch.nn.init.normal_(parameter, std=0.2)


def pool(states, mask):
    kept = states[mask.bool()]
    return {"mean": kept.mean(0), "cls": kept[0], "last": kept[-1]}


def flat(tensor):
    return [float(f"{value:.9g}") for value in tensor.flatten().tolist()]


def run(model, name, padding, has_types):
    mask = torch.tensor(MASKS[name])
    ids = torch.randint(5, VOCABULARY, mask.shape) * mask + padding * (1 - mask)
    inputs = {"input_ids": ids, "attention_mask": mask}
    if has_types:
        inputs["token_type_ids"] = torch.randint(0, 2, mask.shape)
    with torch.no_grad():
        output = model(**inputs, output_hidden_states=True)
    hidden = output.hidden_states[-1]
    batch = {key: value.flatten().tolist() for key, value in inputs.items()}
    batch |= {"shape": list(mask.shape), "last_hidden_state": flat(hidden)}
    if name == "right":
        rows = [pool(states, row) for states, row in zip(hidden, mask)]
        batch |= {kind: flat(torch.stack([row[kind] for row in rows])) for kind in ("mean", "cls", "last")}
        if "logits" in output:
            batch["logits"] = flat(output.logits)
    return batch


def make(name, seed):
    kind, config, options = FIXTURES[name]
    torch.manual_seed(seed)
    config = getattr(transformers, config)(**options)
    model = getattr(transformers, kind)._from_config(config, attn_implementation="eager").eval()
    randomise(model)
    has_types = getattr(config, "type_vocab_size", 0) > 1
    model.save_pretrained(FOLDER / name)
    (FOLDER / name / "generation_config.json").unlink(missing_ok=True)
    batches = {batch: run(model, batch, config.pad_token_id, has_types) for batch in MASKS}
    (FOLDER / name / "expected.json").write_text(json.dumps(batches) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for seed, name in enumerate(FIXTURES):
        if name in sys.argv[1:] or (len(sys.argv) == 1 and not (FOLDER / name).exists()):
            make(name, seed)
            print(name)
