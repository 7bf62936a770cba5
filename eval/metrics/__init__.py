"""Metrics with intervals for Hugging Face's `evaluate`: `evaluate.load("eval/metrics/auc_ci")`, offline.

From an installed package: `evaluate.load(str(pathlib.Path(pedclip.eval.metrics.__file__).parent / "auc_ci"))`.
"""
