"""Networks on devices: placement, process groups, VGG weights, safetensors files."""
