"""The vector-search lane: the codecs as indexes of vectors, against exact search.

Read in this order: `settings` (what is asked), `vectors` (what is searched), `index` (one codec as an index), `measure`
(recall, bytes, times), `record`, `table`.
"""
