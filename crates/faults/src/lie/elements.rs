//! Lies in the profile elements of a package: SGP.22 section 5.5.5 and the TCA profile package.

use profile::element::{PeHeader, ProfileElement, Service, UnknownElement};
use profile::{Octets, Package};
use rsp::der::{Asn1, Tag};
use rsp::ids::Plmn;
use rsp::sgp22::es8plus::StoreMetadataRequest;
use world::Fault;

use super::{LieAct, alter, cannot_lie};
use crate::acts::lie::ElementLie;

/// Encodes a generic profile with the ICCID and the owner of the metadata, with the defect of the
/// lie.
pub(super) fn generic(metadata: &StoreMetadataRequest, act: LieAct) -> Result<Vec<u8>, Fault> {
    let lie = match act {
        LieAct::Element(lie) => Some(lie),
        _ => None,
    };
    let home = match &metadata.profile_owner {
        Some(owner) => Plmn::from_bytes(owner.mcc_mnc)
            .map_err(|_| cannot_lie("the profile owner is not a valid network"))?,
        None => "001-01".parse().map_err(|_| cannot_lie("the network 001-01 cannot be parsed"))?,
    };
    let mut iccid = metadata.iccid.to_profile_header();
    let own = iccid;
    if lie == Some(ElementLie::EfIccid) {
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
    Ok(match lie {
        Some(lie) => with_defect(lie, package),
        None => package.encode(),
    })
}

fn with_defect(lie: ElementLie, mut package: Package) -> Vec<u8> {
    let elements = &mut package.elements;
    match lie {
        ElementLie::EfIccid => {}
        ElementLie::NoHeader => {
            elements.remove(0);
        }
        ElementLie::NoEnd => {
            elements.pop();
        }
        ElementLie::AfterEnd => elements.extend(elements.get(1).cloned()),
        ElementLie::Unknown => {
            let header = PeHeader::mandated(999);
            let mut contents = Vec::new();
            header.encode_as(Tag(0xA0), &mut contents);
            let unknown = UnknownElement { tag: Tag(0xBE), contents: Octets::from(contents) };
            elements.insert(1, ProfileElement::Unknown(unknown));
        }
        ElementLie::HeaderIccid | ElementLie::Version | ElementLie::Service => {
            if let Some(ProfileElement::Header(header)) = elements.first_mut() {
                match lie {
                    ElementLie::HeaderIccid => {
                        let mut iccid = header.iccid.to_vec();
                        alter_digit(&mut iccid);
                        header.iccid = iccid.into();
                    }
                    ElementLie::Version => header.major_version = 9,
                    _ => header.mandatory_services.services.extend(Service::named("multos")),
                }
            }
        }
        ElementLie::Garbage => return vec![0x4C; 64],
    }
    package.encode()
}

/// Changes a digit in the middle, away from the filler.
fn alter_digit(iccid: &mut [u8]) {
    alter(iccid.get_mut(..6).unwrap_or_default());
}
