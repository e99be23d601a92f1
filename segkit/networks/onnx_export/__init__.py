"""Networks as ONNX graphs, written without PyTorch's own exporter."""
