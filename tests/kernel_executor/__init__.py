"""Runs the fused kernels' text on a CPU: the very Metal source that ships, and the CUDA text less its instructions.

A shim supplies what the text expects of a GPU, g++ compiles it, and lanes run as fibres. This proves the algorithm, its
indices and its exchanges between lanes. It is no Mac and no NVIDIA GPU: it proves nothing about their compilers.
"""
