"""What a certification finds before it measures: which models, which machine, and what is installed on it.

`scope` chooses the models; `checkout`, `installation` and `machine` look at one thing each; `environment` puts what
they find into one record, in whichever process asks; `survey_process` asks for it, and for what the models are, in a
process of its own.
"""
