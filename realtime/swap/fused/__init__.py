"""A frame up, a frame down: aligning, drawing, matching colours and pasting as one graph, for graphics cards."""
