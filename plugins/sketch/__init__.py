"""A small ComfyUI that needs no GPU: the backend "sketch", and a server that speaks ComfyUI's protocol."""
