"""The inner-product-bias lane: how far estimated inner products are off, on average and in spread, against theory.

Read in this order: `settings` (what is asked), `theory` (what to expect), `measure`, `record`, `table`.
"""
