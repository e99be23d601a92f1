"""Layers and kernels that compute the same as PyTorch's own, faster or in less memory."""
