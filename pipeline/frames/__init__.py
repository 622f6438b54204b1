"""Analysis of film frames and photographs: shots, black bars, subtitles, logos, quality, perceptual hashes, overrides."""
