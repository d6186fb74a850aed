"""What students never see: the reference answers, and the catalogue of mistakes that certifies the checks."""
