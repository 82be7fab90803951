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

#[cfg(test)]
mod tests {
    use super::*;

    /// GlobalPlatform section 11.1.8: a pre-shared key of TLS has another type than a key of AES.
    #[test]
    fn a_description_has_the_types_of_the_keys() {
        let key = || crate::keys::Key::new(vec![7; 16]);
        let scp80 = Keys::Scp80 { kic: key(), kid: key(), dek: key(), counter: 5 };
        for (keys, types) in [
            (scp80, vec![(1, AES), (2, AES), (3, AES)]),
            (Keys::Scp81 { psk: key(), dek: None }, vec![(1, TLS_PSK)]),
            (Keys::Scp81 { psk: key(), dek: Some(key()) }, vec![(1, TLS_PSK), (2, AES)]),
        ] {
            let described = description_of(&KeySet { version: 1, keys });
            let found = described.key.iter().map(|key| (key.index, key.key_components[0].r#type));
            assert_eq!(found.collect::<Vec<_>>(), types);
        }
    }
}
