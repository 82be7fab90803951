//! The files of the subscription, which change with the identity.

use rsp::ids::Plmn;

use super::{Description, Digits, Isim, Network, coding};
use crate::Fid;

/// A list of networks of a description; `None` if it is not given.
pub(super) type List = fn(&Description) -> Option<Vec<u8>>;

/// The lists of networks: TS 31.102 sections 4.2.5, 4.2.53, 4.2.54 and 4.2.84. The first is the
/// user's.
pub(super) const LISTS: [(&str, Fid, List); 4] = [
    ("ef-plmnwact", Fid(0x6F60), |d| d.usim.user_plmns.as_deref().map(networks)),
    ("ef-oplmnwact", Fid(0x6F61), |d| d.usim.operator_plmns.as_deref().map(networks)),
    ("ef-hplmnwact", Fid(0x6F62), |d| d.usim.home_plmns.as_deref().map(networks)),
    ("ef-ehplmn", Fid(0x6FD9), |d| d.usim.equivalent_plmns.as_deref().map(plmns)),
];

fn networks(list: &[Network]) -> Vec<u8> {
    list.iter().flat_map(|network| network.octets()).collect()
}

pub(super) fn plmns(list: &[Plmn]) -> Vec<u8> {
    list.iter().flat_map(|plmn| plmn.to_bytes()).collect()
}

/// EF.AD: TS 31.102 section 4.2.18.
pub(super) fn administrative(d: &Description) -> [u8; 4] {
    [0x00, 0x00, 0x00, d.mnc_digits.unwrap_or(2)]
}

/// EF.SPN: TS 31.102 section 4.2.12.
pub(super) fn spn(d: &Description) -> Vec<u8> {
    let mut spn = d.usim.spn_display.as_deref().unwrap_or(&[0x00]).to_vec();
    spn.extend(coding::name(d.usim.spn.as_deref().unwrap_or("Landfall")));
    spn
}

/// TS 31.102 section 4.2.15: the class is the last digit of the IMSI.
pub(super) fn access_classes(d: &Description) -> [u8; 2] {
    let last = d
        .imsi
        .and_then(|imsi| imsi.to_string().bytes().last())
        .map_or(0, |digit| digit.wrapping_sub(b'0') % 10);
    coding::access_classes(d.access_classes.as_deref().unwrap_or(&[last]))
}

/// TS 31.102 section 4.2.27: ten bytes of name, the present parameters, destination, SMSC, the
/// rest.
pub(super) fn smsp(centre: &Digits) -> Vec<u8> {
    [&[0xFF; 10], [0xFD].as_slice(), &[0xFF; 12], &coding::number(centre.digits()), &[0xFF; 3]].concat()
}

/// EF.IMPI, the records of EF.IMPU, EF.DOMAIN.
pub(super) struct ImsNames {
    pub(super) impi: Vec<u8>,
    pub(super) impu: Vec<Vec<u8>>,
    pub(super) domain: Vec<u8>,
}

/// The identities of an ISIM: its own, or those derived from the IMSI (TS 23.003 section 13).
pub(super) fn ims_names(d: &Description, isim: &Isim) -> ImsNames {
    let home = d.imsi.and_then(|imsi| imsi.plmn(d.mnc_digits.unwrap_or(2).into()));
    // In these names the network code always has three digits: section 13.2.
    let network = home
        .map_or_else(String::new, |home| format!("mnc{:0>3}.mcc{}.3gppnetwork.org", home.mnc(), home.mcc()));
    let imsi = d.imsi.map_or_else(String::new, |imsi| imsi.to_string());
    let domain = isim.domain.clone().unwrap_or_else(|| format!("ims.{network}"));
    let impi = isim.impi.clone().unwrap_or_else(|| format!("{imsi}@ims.{network}"));
    let impu = isim.impu.clone().unwrap_or_else(|| vec![format!("sip:{imsi}@ims.{network}")]);
    ImsNames {
        impi: coding::tagged(&impi),
        impu: impu.iter().map(|impu| coding::tagged(impu)).collect(),
        domain: coding::tagged(&domain),
    }
}
