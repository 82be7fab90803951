//! The trust: GSMA roles, chain checking, a whole test PKI from a seed. No I/O.
