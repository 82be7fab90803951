//! Several identities in a description: the files of each, and EF.IDENTITIES with its applet.

use std::borrow::Cow;

use rsp::der::Unknown;

use super::adf::{ISIM_FID, USIM_AID, USIM_FID};
use super::shapes::hex;
use super::subscription::{self, LISTS, List};
use super::{Algorithm, Description, Identity, Isim, UsimFiles, key_lengths};
use crate::element::{
    Application, ApplicationInstance, MandatoryAid, PeHeader, ProfileElement, UiccApplicationParameters,
};
use crate::identities::{CLASS, INSTANCE, Identities, Identity as Stored, IdentityFile, PACKAGE};
use crate::{Fid, SecretOctets};

const EF_AD: Fid = Fid(0x6FAD);
const EF_ACC: Fid = Fid(0x6F78);
const EF_SPN: Fid = Fid(0x6F46);
const EF_SMSP: Fid = Fid(0x6F42);
const EF_IMPI: Fid = Fid(0x6F02);
const EF_DOMAIN: Fid = Fid(0x6F03);
const EF_IMPU: Fid = Fid(0x6F04);

/// The same description, with a file for every list of networks that any of its identities has.
pub(super) fn with_room(d: &Description) -> Cow<'_, Description> {
    if d.identity.is_empty() {
        return Cow::Borrowed(d);
    }
    let mut d = d.clone();
    let UsimFiles { home_plmns, operator_plmns, equivalent_plmns, .. } = &mut d.usim;
    for identity in &d.identity {
        make_room(home_plmns, identity.home_plmns.as_ref());
        make_room(operator_plmns, identity.operator_plmns.as_ref());
        make_room(equivalent_plmns, identity.equivalent_plmns.as_ref());
    }
    Cow::Owned(d)
}

fn make_room<T>(own: &mut Option<Vec<T>>, other: Option<&Vec<T>>) {
    if own.is_none() && other.is_some() {
        *own = Some(Vec::new());
    }
}

/// A list of networks, padded to the length of the longest such list of any identity.
pub(super) fn padded(d: &Description, list: List) -> Option<Vec<u8>> {
    let mut own = list(d)?;
    let others = d.identity.iter().filter_map(|identity| list(&in_place_of(d, identity)));
    let longest = others.map(|list| list.len()).max().unwrap_or_default();
    own.resize(own.len().max(longest), 0xFF);
    Some(own)
}

/// The description with this identity in place of its own.
fn in_place_of(d: &Description, identity: &Identity) -> Description {
    let Identity { imsi, mnc_digits, access_classes, spn, smsc, .. } = identity.clone();
    let Identity { home_plmns, operator_plmns, equivalent_plmns, .. } = identity.clone();
    let mut other = Description { imsi: Some(imsi), mnc_digits, access_classes, ..d.clone() };
    let own = &d.usim;
    other.usim.spn = spn.or_else(|| own.spn.clone());
    other.usim.smsc = smsc.or_else(|| own.smsc.clone());
    other.usim.home_plmns = own.home_plmns.as_ref().map(|_| home_plmns.unwrap_or_default());
    other.usim.operator_plmns = own.operator_plmns.as_ref().map(|_| operator_plmns.unwrap_or_default());
    other.usim.equivalent_plmns = own.equivalent_plmns.as_ref().map(|_| equivalent_plmns.unwrap_or_default());
    other
}

/// EF.IDENTITIES, with the description's own identity for all other countries; `None` if there are
/// no further identities.
pub(super) fn table(d: &Description) -> Option<Identities> {
    let own = d.imsi.filter(|_| !d.identity.is_empty())?;
    let own = Stored { countries: Vec::new(), imsi: own, keys: None, files: files(d) };
    let others = d.identity.iter().map(|identity| Stored {
        countries: identity.countries.clone(),
        imsi: identity.imsi,
        keys: keys(d, identity),
        files: files(&in_place_of(d, identity)),
    });
    Some(Identities(std::iter::once(own).chain(others).collect()))
}

fn keys(d: &Description, identity: &Identity) -> Option<(SecretOctets, SecretOctets)> {
    let without = || (d.authentication.algorithm == Algorithm::Test).then(|| [0; 16].into());
    Some((identity.ki.clone()?, identity.opc.clone().or_else(without)?))
}

/// The files of an identity; each identity has the same ones.
fn files(d: &Description) -> Vec<IdentityFile> {
    let file = |directory: Fid, fid: Fid, contents: &[u8]| IdentityFile {
        path: vec![directory, fid],
        contents: contents.into(),
    };
    let usim = |fid, contents: &[u8]| file(USIM_FID, fid, contents);
    let mut files = vec![
        usim(EF_AD, &subscription::administrative(d)),
        usim(EF_ACC, &subscription::access_classes(d)),
        usim(EF_SPN, &subscription::spn(d)),
    ];
    if let Some(centre) = d.usim.smsc.as_ref().filter(|_| d.identity.iter().any(|it| it.smsc.is_some())) {
        files.push(usim(EF_SMSP, &subscription::smsp(centre)));
    }
    // The first list is the user's. It does not change with the identity.
    for (_, fid, list) in LISTS.iter().skip(1) {
        files.extend(list(d).map(|list| usim(*fid, &list)));
    }
    if let Some(isim) = &d.isim {
        let names = subscription::ims_names(d, isim);
        let Isim { impi, impu, domain, .. } = isim;
        let first = names.impu.first().filter(|_| impu.is_none()).map(Vec::as_slice);
        let own = [
            (EF_IMPI, impi.is_none().then_some(names.impi.as_slice())),
            (EF_IMPU, first),
            (EF_DOMAIN, domain.is_none().then_some(names.domain.as_slice())),
        ];
        files.extend(own.into_iter().filter_map(|(fid, contents)| Some(file(ISIM_FID, fid, contents?))));
    }
    files
}

/// The applet: an instance of a function built into the card. It is a toolkit application of the
/// lowest priority, without menu, timers and channels, with access to every file of the USIM (TS
/// 102 226 section 8.2.1.3).
pub(super) fn applet(header: PeHeader) -> ProfileElement {
    let toolkit = hex("FF000000000000");
    let mut access = vec![0x00, 0x01, 0x00, 0x00, 0x0C];
    access.extend(USIM_AID);
    access.extend([0x01, 0x00, 0x00]);
    let parameters = UiccApplicationParameters {
        toolkit: Some(toolkit),
        access: Some(access.into()),
        ..UiccApplicationParameters::default()
    };
    let instance = ApplicationInstance {
        application_load_package_aid: PACKAGE.into(),
        class_aid: CLASS.into(),
        instance_aid: INSTANCE.into(),
        extradite_security_domain_aid: None,
        application_privileges: hex("00"),
        life_cycle_state: None,
        application_specific_parameters_c9: hex(""),
        system_specific_parameters: None,
        application_parameters: Some(parameters),
        process_data: None,
        control_reference_template: None,
        unknown: Unknown::default(),
    };
    ProfileElement::Application(Box::new(Application {
        header,
        load_block: None,
        instance_list: Some(vec![instance]),
        unknown: Unknown::default(),
    }))
}

/// The built-in function that a card must have.
pub(super) fn needed() -> MandatoryAid {
    MandatoryAid { aid: PACKAGE.into(), version: [0x01, 0x00].into(), unknown: Unknown::default() }
}

/// The errors in the identities of a description.
pub(super) fn mistakes(d: &Description, say: &mut impl FnMut(&str, String, &str)) {
    let own = &d.authentication;
    for (number, identity) in d.identity.iter().enumerate() {
        let before = d.identity.get(..number).unwrap_or_default();
        let mut say =
            |name: &str, what: String, next: &str| say(&format!("identity[{number}].{name}"), what, next);
        if identity.countries.is_empty() {
            let what =
                "the identity has no country; the profile's own identity is used in all other countries";
            say("countries", what.to_owned(), "give mobile country codes, such as 724");
        }
        for (place, country) in identity.countries.iter().enumerate() {
            let again = identity.countries.get(..place).unwrap_or_default().contains(country);
            if again || before.iter().any(|other| other.countries.contains(country)) {
                say(
                    "countries",
                    format!("another identity is for {country} too"),
                    "remove the country from one of them",
                );
            }
        }
        if d.imsi == Some(identity.imsi) || before.iter().any(|other| other.imsi == identity.imsi) {
            let what = format!("another identity has the IMSI {}", identity.imsi);
            say("imsi", what, "give each identity an IMSI of its own");
        }
        let digits = |imsi: rsp::ids::Imsi| imsi.to_string().len();
        if d.isim.is_some() && d.imsi.is_some_and(|imsi| digits(imsi) != digits(identity.imsi)) {
            let what = "with an ISIM all IMSIs must have as many digits as the profile's, because the files of the ISIM have a fixed size";
            say("imsi", what.to_owned(), "set another IMSI, or remove the ISIM");
        }
        if identity.mnc_digits.is_some_and(|digits| !(2..=3).contains(&digits)) {
            say("mnc-digits", "a network code has 2 or 3 digits".to_owned(), "give 2 or 3");
        }
        match (&identity.ki, &identity.opc) {
            (None, Some(_)) => say("ki", "it is missing".to_owned(), "set ki, or remove opc too"),
            (Some(_), None) if own.algorithm.opc_length().is_some() => {
                say("opc", "it is missing".to_owned(), "set opc, or remove ki too");
            }
            _ => {}
        }
        key_lengths::mistakes(own.algorithm, identity.ki.as_ref(), identity.opc.as_ref(), &mut say);
        if identity.access_classes.iter().flatten().any(|class| *class > 15) {
            say("access-classes", "access classes are numbers from 0 to 15".to_owned(), "correct them");
        }
        if identity.smsc.is_some() && d.usim.smsc.is_none() {
            let what = "the profile's own identity has no SMSC address, so the card could not restore EF.SMSP when it returns to that identity";
            say("smsc", what.to_owned(), "set usim.smsc too");
        }
        if identity.spn.as_ref().is_some_and(|spn| super::coding::name(spn).len() > 16) {
            say("spn", "it takes more than 16 octets".to_owned(), "shorten it");
        }
    }
}
