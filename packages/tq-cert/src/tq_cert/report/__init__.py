"""`tq-cert report`: one HTML page of a folder of benchmark reports, or of an evidence bundle; needs no MLX.

`page` is what a page says, as values. `from_reports` and `from_bundle` make one from what was measured, with the charts
of `lane_charts` and `bundle_charts`; `draw` turns charts into SVG, `html` all of it into one file. `picture` draws the
single figure of the README, `measured_tables` fills the tables of written pages.
"""
