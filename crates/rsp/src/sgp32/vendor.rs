//! Extensions of vendors: SGP.22 v3 section 2.4.5, used by SGP.32 v1.3.

use crate::{ids::Oid, sequence};

sequence! {
    /// An entry of VendorSpecificExtension.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct VendorSpecificExtension = 0x30 {
        /// The OID of the vendor.
        pub vendor_oid: Oid = 0x80,
        /// The data, whose type the vendor defines: one TLV.
        pub vendor_specific_data: Vec<u8> = 0xA1,
    }
}
