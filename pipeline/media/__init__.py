"""Reading and writing pictures and films: files, arrays, contact sheets, decoding, HDR, deinterlacing."""
