//! The arithmetic: ECDSA, key agreement, BSP, Milenage. No I/O.
