"""The measurement lanes of `tq-cert bench`: each measures one thing and reports it in one envelope.

`envelope` says what every report has in common, `provenance` where its numbers come from, `models` and `texts` what
is measured on, `prefill` how a prompt gets into a cache, `turns` and `timing` how times are taken, `journal` how an
interrupted run goes on, `forms` and `codecs` what is compared without a cache, `lists` what options list, `tables` and
`plots` what people see. One package per lane, with the lane's name.

Only `runtime` decides that MLX is there; modules that import MLX are imported after it has.
"""
