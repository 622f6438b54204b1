"""From a picture of any size to the redrawn picture, by PyTorch, OpenVINO or ONNX Runtime; export."""
