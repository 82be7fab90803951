//! The representation of a subscriber in the admin API.

use std::num::NonZeroU8;

use profile::{Capabilities, InstalledProfile, Package, SecretOctets, element::AlgorithmId};
use rsp::ids::{Imsi, Plmn};
use schemars::JsonSchema;
use serde::Serialize;

/// The subscriber of a profile, with its keys. It is also a valid body of PUT /subscribers/{imsi} of
/// `landfall network`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubscriberView {
    /// EF.IMSI.
    #[schemars(with = "String")]
    imsi: Imsi,
    /// The home network, by EF.IMSI and EF.AD.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    home: Option<Plmn>,
    /// The authentication algorithm and its keys.
    keys: KeysView,
}

/// An authentication algorithm and its keys, in hexadecimal digits.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum KeysView {
    /// Milenage, TS 35.206.
    Milenage {
        /// K.
        k: SecretOctets,
        /// OPc.
        opc: SecretOctets,
    },
    /// TUAK, TS 35.231.
    Tuak {
        /// K.
        k: SecretOctets,
        /// TOPc.
        topc: SecretOctets,
        /// Length of RES in octets.
        res_length: u8,
        /// Number of iterations of the permutation.
        iterations: NonZeroU8,
    },
    /// The test algorithm of TS 34.108 section 8.1.2.
    UsimTest {
        /// K.
        k: SecretOctets,
        /// Length of RES in octets.
        res_length: u8,
    },
}

impl SubscriberView {
    /// Reads the subscriber of the first USIM in a package. Returns `None` if there is none.
    pub(super) fn of(package: &[u8]) -> Option<Self> {
        let installed =
            InstalledProfile::of(&Package::decode(package).ok()?, &Capabilities::default()).ok()?;
        let usim = installed.usim()?;
        let aka = installed.facts.aka.iter().find(|aka| aka.adf == usim.adf())?;
        let (k, res_length) = (aka.key.clone(), aka.res_length()?);
        let keys = match aka.algorithm {
            AlgorithmId::MILENAGE => KeysView::Milenage { k, opc: aka.opc.clone() },
            AlgorithmId::TUAK => {
                let iterations = NonZeroU8::new(aka.keccak_iterations).unwrap_or(NonZeroU8::MIN);
                KeysView::Tuak { k, topc: aka.opc.clone(), res_length, iterations }
            }
            AlgorithmId::USIM_TEST_ALGORITHM => KeysView::UsimTest { k, res_length },
            _ => return None,
        };
        Some(Self { imsi: usim.imsi()?, home: usim.home(), keys })
    }
}
