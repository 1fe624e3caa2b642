"""default.toml as a Python config, for configs that need to compute or import something.

A Python config assigns `config`, made of dicts, lists, strings, numbers, booleans and None. It is
executed when it is read, so review configs from others before using them.
"""

config = {
    "data": {
        "path": "phrases.txt",  # UTF-8 text, one phrase per line
        "val_fraction": 0.1,  # share held out for validation
        "test_fraction": 0.05,  # share held out for testing
        "split_seed": 0,  # seed of the split, independent of train.seed
        "overlong": "error",  # for phrases longer than max_seq_len: "error", "truncate" or "drop"
        "layout": "lines",  # one phrase per row
    },
    "tokenizer": {
        "model_type": "unigram",  # SentencePiece: "unigram", "bpe" or "char"
        "vocab_size": 512,  # maximum vocabulary size, including 256 byte tokens
    },
    "model": {
        "d_model": 128,  # width of the residual stream
        "n_layers": 4,
        "n_heads": 4,  # head_dim = d_model / n_heads
        "max_seq_len": 64,  # maximum sequence length, including the start token
        "dropout": 0.1,  # on embeddings and residual branches
        "tie_embeddings": True,  # share one matrix between embedding and output head
        "positional_encoding": {"name": "rope", "base": 10000.0},
        "attention": {
            "name": "softmax",
            "n_kv_heads": None,  # None: same as n_heads
            "window": None,  # None: full causal attention
            "qk_norm": None,  # or a norm, such as "rmsnorm"
            "bias": False,
            "dropout": 0.0,
        },
        "norm": {"name": "rmsnorm", "eps": 1e-6},
        "mlp": {"name": "swiglu", "expansion": 8 / 3, "bias": False},
        "mlp_enabled": True,  # False removes the MLP sublayers
        "block": "pre",
        "pattern": [],  # e.g. ["local", "local", "global"], repeated over the layers
        "layers": {},  # with a pattern: {"local": {...}} holds its overrides
    },
    "train": {
        "seed": 1,  # for initialisation, data order, dropout and sampling
        "max_steps": 600,
        "batch_size": 64,  # phrases per optimizer step
        "grad_accumulation": 1,  # micro-batches per optimizer step, to save memory
        "learning_rate": 3e-3,  # peak of the schedule
        "weight_decay": 0.1,  # on matrices, not on norms, biases and scalars
        "grad_clip": 1.0,  # gradient-norm clip; 0 disables it
        "optimizer": {"name": "adamw", "beta1": 0.9, "beta2": 0.95, "eps": 1e-8},
        "schedule": {"name": "cosine", "warmup": 50, "floor": 0.1},
        "eval_interval": 100,  # steps
        "sample_interval": 200,  # steps; 0 disables sampling
        "checkpoint_interval": 200,  # steps
        "device": "auto",  # "auto", "cpu", "cuda", "cuda:1", "mps"
        "precision": "fp32",  # or "bf16": autocast, weights stay fp32
        "allow_leak": False,  # True trains even if tokens see later ones
        "compile": False,  # torch.compile: slower startup, faster steps
        "callbacks": [],  # e.g. ["ema", {"name": "early_stopping", "patience": 5}]
    },
    "eval": {
        "max_lines": 2000,  # maximum lines per split in an evaluation
    },
    "sampling": {
        "max_new_tokens": 32,  # maximum tokens to generate per sample
        "samplers": [  # applied in order before a token is drawn
            {"name": "temperature", "temperature": 0.8},
            {"name": "top_p", "p": 0.95},
        ],
    },
    "report": {
        "metrics": [  # computed for reports and the run's summary
            "likelihood",
            "best_step",
            "loss_by_position",
            "calibration",
            "baselines",
            "exact_copies",
            "train_mass",
            "novelty",
            "longest_copy",
            "good_turing",
            "unique_rate",
            "distinct",
            "self_bleu",
            "compression",
            "repetition",
            "oov",
            "length_distance",
            "endings",
            "char_ngram",
        ],
    },
}
