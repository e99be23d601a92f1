"""Layers and kernels that compute the same as torch's own, faster or in less memory."""
