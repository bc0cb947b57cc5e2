"""Recognised frames: the rules of known programs, named and grouped; no decision depends on them by itself."""

from ipt2np.frames.frame import Chains, Frame
from ipt2np.frames.recognise import FRAMES, Found, FrameChain, Frames, recognise

__all__ = ["FRAMES", "Chains", "Found", "Frame", "FrameChain", "Frames", "recognise"]
