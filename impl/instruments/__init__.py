"""What reads attention weights and makes numbers of them: entropies, divergences, distances, rollout and flow, agreement with trees and people, detectors.

Each folder is a variant like those of attention: `reference` is the definition, the files beside it compute the same. `complexity` alone is none: it counts, by
formula, what a call costs. Folders import impl.masked and impl.variant, and no other variant's fast path.
"""
