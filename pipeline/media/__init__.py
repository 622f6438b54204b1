"""The only doors to pictures and films: decoding, encoding, arrays, contact sheets, HDR, deinterlacing."""
