"""The pages. Each view is a door: find the object through access, call one service or selector, render."""
