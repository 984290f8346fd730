"""Judgement and its presentation. Reads evidence and claims; never imports impl, torch or triton."""
