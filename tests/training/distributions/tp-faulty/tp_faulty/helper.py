"""Code of the package outside the module of its components."""


def fail():
    raise RuntimeError("helper failed")  # HERE helper
