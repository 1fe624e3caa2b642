"""The experiment of default.toml in Python, for a config that computes or imports something.

A Python config sets `config`, out of dicts, lists, text, numbers, booleans and None. It runs when
it is read: look into someone else's before you use it, as with any script.
"""

config = {
    "data": {
        "path": "phrases.txt",  # UTF-8 text, one phrase per line
        "val_fraction": 0.1,  # share of phrases held out to watch
        "test_fraction": 0.05,  # share of phrases never touched
        "split_seed": 0,  # key of the hash that splits: the same for every training seed
        "overlong": "error",  # a phrase longer than max_seq_len: "error", "truncate" or "drop"
        "layout": "lines",  # each phrase is a row of its own
    },
    "tokenizer": {
        "model_type": "unigram",  # SentencePiece: "unigram", "bpe" or "char"
        "vocab_size": 512,  # most pieces there may be; 256 of them are the bytes
    },
    "model": {
        "d_model": 128,  # width of the residual stream
        "n_layers": 4,
        "n_heads": 4,  # head_dim = d_model / n_heads
        "max_seq_len": 64,  # tokens in a row, the start token included
        "dropout": 0.1,  # on embeddings and residual branches
        "tie_embeddings": True,  # one matrix embeds tokens and scores them
        "positional_encoding": {"name": "rope", "base": 10000.0},
        "attention": {
            "name": "softmax",
            "n_kv_heads": None,  # None: as many as n_heads
            "window": None,  # None: a query sees every token before it
            "qk_norm": None,  # or a norm, such as "rmsnorm"
            "bias": False,
            "dropout": 0.0,
        },
        "norm": {"name": "rmsnorm", "eps": 1e-6},
        "mlp": {"name": "swiglu", "expansion": 8 / 3, "bias": False},
        "mlp_enabled": True,  # False removes the MLP sublayers
        "block": "pre",
        "pattern": [],  # e.g. ["local", "local", "global"], cycled over the layers
        "layers": {},  # with a pattern: {"local": {...}} and what differs there
    },
    "train": {
        "seed": 1,  # start values, data order, dropout and samples follow from it
        "max_steps": 600,
        "batch_size": 64,  # phrases per optimizer step
        "grad_accumulation": 1,  # slices those phrases are cut into, to save memory
        "learning_rate": 3e-3,  # the peak of the schedule
        "weight_decay": 0.1,  # on matrices; not on norms, biases and scalars
        "grad_clip": 1.0,  # largest gradient norm; 0 is no limit
        "optimizer": {"name": "adamw", "beta1": 0.9, "beta2": 0.95, "eps": 1e-8},
        "schedule": {"name": "cosine", "warmup": 50, "floor": 0.1},
        "eval_interval": 100,  # steps
        "sample_interval": 200,  # steps; 0 is never
        "checkpoint_interval": 200,  # steps
        "device": "auto",  # "auto", "cpu", "cuda", "cuda:1", "mps"
        "precision": "fp32",  # or "bf16": autocast, weights stay fp32
        "allow_leak": False,  # True trains even a model whose tokens see later ones
        "compile": False,  # torch.compile: a slow start, faster steps
        "callbacks": [],  # e.g. ["ema", {"name": "early_stopping", "patience": 5}]
    },
    "eval": {
        "max_lines": 2000,  # most lines of a split an evaluation reads
    },
    "sampling": {
        "max_new_tokens": 32,  # most tokens a sample adds to its prompt
        "samplers": [  # the chain, in order; a token is drawn at its end
            {"name": "temperature", "temperature": 0.8},
            {"name": "top_p", "p": 0.95},
        ],
    },
    "report": {
        "metrics": [  # what a report says; some of it a training's summary
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
