//! A minimal package: one USIM with Milenage or the test algorithm.
//!
//! The package is that of a [`Description`] with only the values of a subscription. It has version
//! 2.3 and creates all files by template.

use crate::Package;
use crate::description::{
    self, Authentication, Codes as CodesTerms, Description, Identity, KeySet, SecurityDomain, UsimFiles,
};

/// The individual values of a subscription.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// ICCID in the order of the profile header, filled with F.
    pub iccid: [u8; 10],
    /// IMSI, 6 to 15 digits.
    pub imsi: String,
    /// Number of digits of the network code: 2 or 3.
    pub mnc_digits: u8,
    /// Ki.
    pub key: [u8; 16],
    /// OPc; not used by the test algorithm.
    pub opc: [u8; 16],
    /// The authentication of the USIM.
    pub algorithm: Algorithm,
    /// EF.SPN: up to 16 letters, digits and blanks.
    pub operator_name: String,
    /// EF.MSISDN, international digits without +.
    pub msisdn: Option<String>,
    /// PIN1 (disabled), PUK1, PIN2, PUK2 and ADM1. A PUK has 8 digits, the other codes have 4 to 8.
    pub codes: Codes,
    /// The keys of the MNO-SD.
    pub security_domain_key: [u8; 16],
    /// Additional identities (IMSIs), one of which an applet selects by country.
    pub identities: Vec<Identity>,
}

/// The authentication algorithm of a USIM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// TS 35.206.
    Milenage,
    /// TS 34.108 section 8.1.2.
    UsimTest,
}

/// PINs and administrative codes, as digits.
#[derive(Clone, Debug)]
pub struct Codes {
    /// PIN1.
    pub pin1: String,
    /// PUK1.
    pub puk1: String,
    /// PIN2.
    pub pin2: String,
    /// PUK2.
    pub puk2: String,
    /// ADM1.
    pub adm1: String,
}

impl Default for Codes {
    fn default() -> Self {
        let code = str::to_owned;
        Self {
            pin1: code("0000"),
            puk1: code("11111111"),
            pin2: code("9999"),
            puk2: code("22222222"),
            adm1: code("55555555"),
        }
    }
}

impl Default for Subscription {
    fn default() -> Self {
        Self {
            iccid: [0xFF; 10],
            imsi: "001010000000001".to_owned(),
            mnc_digits: 2,
            key: [0; 16],
            opc: [0; 16],
            algorithm: Algorithm::Milenage,
            operator_name: "Landfall".to_owned(),
            msisdn: None,
            codes: Codes::default(),
            security_domain_key: *b"landfall mno-sd!",
            identities: Vec::new(),
        }
    }
}

/// The package for a subscription.
pub fn generic(subscription: &Subscription) -> Package {
    Package { elements: description::elements(&describe(subscription)) }
}

fn describe(subscription: &Subscription) -> Description {
    let Codes { pin1, puk1, pin2, puk2, adm1 } = &subscription.codes;
    let key = || subscription.security_domain_key.into();
    Description {
        iccid: rsp::ids::Iccid::from_profile_header(&subscription.iccid).ok(),
        imsi: subscription.imsi.parse().ok(),
        mnc_digits: Some(subscription.mnc_digits),
        msisdn: subscription.msisdn.as_ref().and_then(|msisdn| msisdn.parse().ok()),
        authentication: Authentication {
            algorithm: match subscription.algorithm {
                Algorithm::Milenage => description::Algorithm::Milenage,
                Algorithm::UsimTest => description::Algorithm::Test,
            },
            ki: Some(subscription.key.into()),
            opc: Some(subscription.opc.into()),
            ..Authentication::default()
        },
        codes: CodesTerms {
            pin1: pin1.parse().ok(),
            puk1: puk1.parse().ok(),
            pin2: pin2.parse().ok(),
            puk2: puk2.parse().ok(),
            adm1: adm1.parse().ok(),
            ..CodesTerms::default()
        },
        usim: UsimFiles {
            spn: Some(subscription.operator_name.chars().take(16).collect()),
            ..UsimFiles::default()
        },
        security_domain: SecurityDomain {
            keys: vec![KeySet {
                version: 1,
                r#type: description::KeyType::Aes,
                enc: key(),
                mac: key(),
                dek: key(),
            }],
            ..SecurityDomain::default()
        },
        identity: subscription.identities.clone(),
        ..Description::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capabilities, Fid, FileIndex, InstalledProfile};

    const USIM_AID: [u8; 12] = [0xA0, 0, 0, 0, 0x87, 0x10, 2, 0xFF, 0x49, 0xFF, 5, 0x89];

    fn subscription() -> Subscription {
        Subscription {
            iccid: [0x89, 0x72, 0x49, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x2F],
            imsi: "724990000000012".to_owned(),
            key: [7; 16],
            opc: [9; 16],
            operator_name: "Local Brasil".to_owned(),
            msisdn: Some("5511987654321".to_owned()),
            ..Subscription::default()
        }
    }

    #[test]
    fn the_package_survives_encoding_and_decoding() {
        let package = generic(&subscription());
        let bytes = package.encode();
        assert_eq!(Package::decode(&bytes).unwrap(), package);
        assert_eq!(generic(&subscription()).encode(), bytes);
    }

    #[test]
    fn a_card_can_install_it_and_read_its_subscription() {
        let package = generic(&subscription());
        let installed = InstalledProfile::of(&package, &Capabilities::default()).unwrap();
        let files = &installed.files;
        let (adf, _) = files.adfs(&USIM_AID).next().unwrap();
        let read =
            |directory, fid| files.content(files.child(directory, Fid(fid)).unwrap()).unwrap().to_vec();
        assert_eq!(read(FileIndex::MF, 0x2FE2), [0x98, 0x27, 0x94, 0, 0, 0, 0, 0, 0x10, 0xF2]);
        assert_eq!(read(adf, 0x6F07), [0x08, 0x79, 0x42, 0x99, 0x00, 0x00, 0x00, 0x00, 0x21]);
        assert_eq!(read(adf, 0x6FAD), [0, 0, 0, 2]);
        assert_eq!(read(adf, 0x6F46), [&[0x00], b"Local Brasil".as_slice(), &[0xFF; 4]].concat());
        assert_eq!(read(adf, 0x6F78), [0x00, 0x04]);
        assert_eq!(read(adf, 0x6F40)[10..20], [0x08, 0x91, 0x55, 0x11, 0x89, 0x67, 0x45, 0x23, 0xF1, 0xFF]);
        assert_eq!(files.records(files.child(FileIndex::MF, Fid(0x2F06)).unwrap()), Some(15));
        let aka = installed.facts.aka.first().unwrap();
        assert_eq!((aka.key.expose(), aka.opc.expose()), ([7; 16].as_slice(), [9; 16].as_slice()));
        assert_eq!(installed.facts.security_domains.len(), 1);
        assert_eq!(installed.facts.pins.len(), 2);
    }
}
