"""The encode lane: what coding new tokens costs, per value and as a share of decoding.

Read in this order: `settings` (what is asked), `presets` (what is measured), `measure` (timings of coding and
decoding, taken in turns), `step` (one model's decode step beside the coding of a block), `record`, `table`, `lane`
(all of it).
"""
