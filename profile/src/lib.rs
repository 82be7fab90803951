//! The goods: TCA profile packages, read, checked for shape, built. No I/O.
