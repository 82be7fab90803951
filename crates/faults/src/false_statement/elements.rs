//! False statements in the profile elements of a package: SGP.22 section 5.5.5 and the TCA profile
//! package.

use profile::element::{PeHeader, ProfileElement, Service, UnknownElement};
use profile::{Octets, Package};
use rsp::der::{Asn1, Tag};
use rsp::ids::Plmn;
use rsp::sgp22::es8plus::StoreMetadataRequest;
use world::Fault;

use super::{FalseStatement, alter, cannot_falsify};
use crate::acts::false_statement::FalseElement;

/// Encodes a generic profile with the ICCID and the owner of the metadata, and with the defect of
/// the false statement.
pub(super) fn generic(metadata: &StoreMetadataRequest, act: FalseStatement) -> Result<Vec<u8>, Fault> {
    let statement = match act {
        FalseStatement::Element(statement) => Some(statement),
        _ => None,
    };
    let home = match &metadata.profile_owner {
        Some(owner) => Plmn::from_bytes(owner.mcc_mnc)
            .map_err(|_| cannot_falsify("the profile owner is not a valid network"))?,
        None => "001-01".parse().map_err(|_| cannot_falsify("the network 001-01 cannot be parsed"))?,
    };
    let mut iccid = metadata.iccid.to_profile_header();
    let own = iccid;
    if statement == Some(FalseElement::EfIccid) {
        alter_digit(&mut iccid);
    }
    let (mcc, mnc) = (home.mcc(), home.mnc());
    let mut package = profile::generic(&profile::generic::Subscription {
        iccid,
        imsi: format!("{mcc}{mnc}{:0width$}", 66, width = 12_usize.saturating_sub(mnc.len())),
        mnc_digits: u8::try_from(mnc.len()).unwrap_or(2),
        ..profile::generic::Subscription::default()
    });
    if let Some(ProfileElement::Header(header)) = package.elements.first_mut() {
        header.iccid = own.into();
    }
    Ok(match statement {
        Some(statement) => with_defect(statement, package),
        None => package.encode(),
    })
}

fn with_defect(statement: FalseElement, mut package: Package) -> Vec<u8> {
    let elements = &mut package.elements;
    match statement {
        FalseElement::EfIccid => {}
        FalseElement::NoHeader => {
            elements.remove(0);
        }
        FalseElement::NoEnd => {
            elements.pop();
        }
        FalseElement::AfterEnd => elements.extend(elements.get(1).cloned()),
        FalseElement::Unknown => {
            let header = PeHeader::mandated(999);
            let mut contents = Vec::new();
            header.encode_as(Tag(0xA0), &mut contents);
            let unknown = UnknownElement { tag: Tag(0xBE), contents: Octets::from(contents) };
            elements.insert(1, ProfileElement::Unknown(unknown));
        }
        FalseElement::HeaderIccid | FalseElement::Version | FalseElement::Service => {
            if let Some(ProfileElement::Header(header)) = elements.first_mut() {
                match statement {
                    FalseElement::HeaderIccid => {
                        let mut iccid = header.iccid.to_vec();
                        alter_digit(&mut iccid);
                        header.iccid = iccid.into();
                    }
                    FalseElement::Version => header.major_version = 9,
                    _ => header.mandatory_services.services.extend(Service::named("multos")),
                }
            }
        }
        FalseElement::Garbage => return vec![0x4C; 64],
    }
    package.encode()
}

/// Changes a digit in the middle of the ICCID, so that the filler at the end stays valid.
fn alter_digit(iccid: &mut [u8]) {
    alter(iccid.get_mut(..6).unwrap_or_default());
}
