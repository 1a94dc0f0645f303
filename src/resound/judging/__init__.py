"""How good an estimate is, beside what is trivial: scores, summaries, baselines, tables."""
