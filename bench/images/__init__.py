"""Images: which to draw, drawing them, their files, sets of them, real ones to compare with."""
