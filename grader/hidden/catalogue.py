"""The registered mistakes and variants of an assignment, for those packages of the grader that certify its checks."""

from dgm_ref.catalogue import Catalogue, Mistake, Variant, load

__all__ = ["Catalogue", "Mistake", "Variant", "load"]
