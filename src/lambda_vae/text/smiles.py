"""Molecules as the symbols of SMILES."""

from lambda_vae.text.pattern import PatternTokeniser

__all__ = ["SMILES"]

#: Outside brackets only chlorine and bromine have two letters: Sc is sulphur next to an aromatic carbon. In brackets
#: stands one atom with isotope, hydrogens, charge and chirality; %NN and %(NNN) close rings beyond 9. A character that
#: begins none of these, as a bracket that is never closed, is a token by itself, so that any text comes back as it was.
SMILES = PatternTokeniser(
    "smiles", "atoms, bonds, ring closures; [..] whole", r"\n|\[[^\[\]\n]*\]|Br|Cl|%\d\d|%\(\d+\)|."
)
