"""The measurement lanes of `tq-cert bench`: each measures one thing and reports it in one envelope.

`envelope` says what every report has in common, `provenance` where its numbers come from, `models` and `texts` what
is measured on, `journal` how an interrupted run goes on, `forms` and `codecs` what is compared without a cache. One
package per lane, with the lane's name.

Only `runtime` decides that MLX is there; modules that import MLX are imported after it has.
"""
