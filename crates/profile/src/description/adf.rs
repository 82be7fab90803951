//! The ADFs of a description: their AIDs, and the identifiers by which paths name them.

use crate::Fid;

/// The AID of the USIM: 3GPP's RID and application code, followed by the same bytes as in the TS.48
/// profile.
pub(super) const USIM_AID: [u8; 12] =
    [0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02, 0xFF, 0x49, 0xFF, 0x05, 0x89];
/// The AID of the ISIM.
pub(super) const ISIM_AID: [u8; 12] =
    [0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x04, 0xFF, 0x49, 0xFF, 0x05, 0x89];

/// Temporary identifier by which paths in the package name the ADF of the USIM.
pub(super) const USIM_FID: Fid = Fid(0x7FD0);
/// Temporary identifier by which paths in the package name the ADF of the ISIM.
pub(super) const ISIM_FID: Fid = Fid(0x7FB0);
