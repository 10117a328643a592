"""The kv-paper-eval lane: which of the papers' evaluations of a compressed cache are run here, and with what result.

Read in this order: `settings` (two tiers), `catalogue` (what the papers evaluate, and what stands for it here),
`haystack` (the prompts), `measure` (one prompt with one cache), `record`, `lane` (all of it), `table`.

A row says measured or not_run; what is not_run carries its reason, and nothing stands in its place.
"""
