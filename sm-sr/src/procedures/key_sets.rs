//! Description of key sets in an EIS.

use rsp::sgp02::{
    Octets,
    eis::{Eis, KeyComponent, Keyset, KeysetType},
};

use crate::records::{KeySet, Keys};

/// Key types: GlobalPlatform section 11.1.8.
const AES: u8 = 0x88;
const TLS_PSK: u8 = 0x85;

/// Key identifier of a pre-shared key within its set.
pub(super) const PSK_ID: u8 = 1;

/// Returns the first version number that no key set has.
pub(super) fn free_version(eis: &Eis, of: &std::ops::RangeInclusive<u8>) -> Option<u8> {
    let taken = |version: &u8| {
        let sets = eis.isd_r.iter().flat_map(|isd_r| &isd_r.keyset);
        sets.map(|set| set.version).any(|taken| taken == *version)
    };
    of.clone().find(|version| !taken(version))
}

/// Returns the description of a key set for an EIS, without its values.
pub(crate) fn description_of(set: &KeySet) -> Keyset {
    let (kind, counter, indexes) = match &set.keys {
        Keys::Scp80 { counter, .. } => (KeysetType::Scp80, Some(*counter), vec![1, 2, 3]),
        Keys::Scp81 { dek: None, .. } => (KeysetType::Scp81, None, vec![1]),
        Keys::Scp81 { dek: Some(_), .. } => (KeysetType::Scp81, None, vec![1, 2]),
    };
    let kind_of = |index: u8| match &set.keys {
        Keys::Scp81 { .. } if index == PSK_ID => TLS_PSK,
        _ => AES,
    };
    let key = |index| rsp::sgp02::eis::Key {
        index,
        kcv: Octets::default(),
        key_components: vec![KeyComponent { r#type: kind_of(index), value: Octets::default() }],
    };
    Keyset {
        version: set.version,
        r#type: Some(kind),
        cntr: counter,
        key: indexes.into_iter().map(key).collect(),
        certificate: Vec::new(),
    }
}
