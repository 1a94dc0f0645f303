"""From a trained network to one ONNX file that behaves as it does, and says how to run it."""
