"""What is measured on film frames and photographs: shots, letterbox, overlays, quality, perceptual hashes."""
