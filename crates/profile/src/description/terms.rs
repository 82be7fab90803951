//! The terms of a description as bytes, by the names under which `[[element]]` refers to them.

use super::{Description, KeySet, coding, layout, subscription};
use crate::SecretOctets;

/// A term of a description.
pub(super) struct Term {
    /// The name that is written in braces.
    pub(super) name: String,
    /// Hexadecimal digits; text for the profile type and the algorithm.
    pub(super) value: String,
    /// The byte that pads the value to a given length, as in `{ef-ust:17}`.
    pub(super) filling: u8,
    /// The place in the description, if the value is explicit and not derived from another term.
    pub(super) source: Option<&'static str>,
}

/// Every term that has a value.
pub(super) fn of(d: &Description) -> Vec<Term> {
    let mut terms = Terms(Vec::new());
    let hex = |octets: &[u8]| hex::encode_upper(octets);
    terms.text("profile-type", d.profile_type.clone(), "profile-type");
    terms.text("iccid", d.iccid.map(|iccid| hex(&iccid.to_profile_header())), "iccid");
    terms.text("ef-iccid", d.iccid.map(|iccid| hex(&iccid.0)), "iccid");
    terms.octets("ef-imsi", d.imsi.map(|imsi| layout::used(imsi.to_ef())), "imsi");
    terms.octets("mnc-digits", d.mnc_digits.map(|digits| vec![digits]), "mnc-digits");
    if d.imsi.is_some() || d.access_classes.is_some() {
        terms.octets("ef-acc", Some(subscription::access_classes(d).to_vec()), "access-classes");
        if d.access_classes.is_none()
            && let Some(last) = terms.0.last_mut()
        {
            last.source = None;
        }
    }
    terms.octets("msisdn", d.msisdn.as_ref().map(|number| coding::number(number.digits())), "msisdn");
    terms.octets("pol1", d.pol1.clone().map(|octets| octets.0), "pol1");
    let parameters = d.connectivity_parameters.clone().map(|octets| octets.0);
    terms.octets("connectivity-parameters", parameters, "connectivity-parameters");

    let a = &d.authentication;
    terms.text("algorithm", a.algorithm.id().name().map(str::to_owned), "authentication.algorithm");
    if let Some(last) = terms.0.last_mut() {
        last.source = None;
    }
    terms.secret("ki", a.ki.as_ref(), "authentication.ki");
    terms.secret("opc", a.effective_opc().as_ref(), "authentication.opc");
    terms.octets("algorithm-options", a.options.clone().map(|octets| octets.0), "authentication.options");
    let c = &d.codes;
    for (name, code, source) in [
        ("pin1", &c.pin1, "codes.pin1"),
        ("puk1", &c.puk1, "codes.puk1"),
        ("pin2", &c.pin2, "codes.pin2"),
        ("puk2", &c.puk2, "codes.puk2"),
        ("adm1", &c.adm1, "codes.adm1"),
    ] {
        terms.octets(name, code.as_ref().map(|code| code.octets().to_vec()), source);
    }

    let u = &d.usim;
    let spn =
        u.spn.as_ref().map(|spn| [u.spn_display.as_deref().unwrap_or(&[0]), &coding::name(spn)].concat());
    terms.octets("ef-spn", spn, "usim.spn");
    terms.octets("ef-ust", u.services.as_ref().map(|list| coding::services(list)), "usim.services");
    terms.octets(
        "ef-est",
        u.enabled_services.as_ref().map(|list| coding::services(list)),
        "usim.enabled-services",
    );
    for term in terms.0.iter_mut().filter(|term| ["ef-ust", "ef-est"].contains(&term.name.as_str())) {
        term.filling = 0x00;
    }
    terms.octets("smsc", u.smsc.as_ref().map(|number| coding::number(number.digits())), "usim.smsc");
    for (name, list, source) in [
        ("ef-hplmnwact", &u.home_plmns, "usim.home-plmns"),
        ("ef-oplmnwact", &u.operator_plmns, "usim.operator-plmns"),
        ("ef-plmnwact", &u.user_plmns, "usim.user-plmns"),
    ] {
        let octets = list.as_ref().map(|list| list.iter().flat_map(|network| network.octets()).collect());
        terms.octets(name, octets, source);
    }
    for (name, list, source) in [
        ("ef-ehplmn", &u.equivalent_plmns, "usim.equivalent-plmns"),
        ("ef-fplmn", &u.forbidden_plmns, "usim.forbidden-plmns"),
    ] {
        terms.octets(
            name,
            list.as_ref().map(|list| list.iter().flat_map(|plmn| plmn.to_bytes()).collect()),
            source,
        );
    }
    terms.octets("ef-gid1", u.gid1.clone().map(|octets| octets.0), "usim.gid1");
    terms.octets("ef-gid2", u.gid2.clone().map(|octets| octets.0), "usim.gid2");

    let g = &d.five_g;
    let digits = g.routing_indicator.as_ref().map(|digits| coding::routing_indicator(digits.digits()));
    terms.octets("ef-routing-indicator", digits, "5g.routing-indicator");
    let suci = g.suci_keys.as_ref().map(|keys| coding::suci(keys));
    let name = if g.suci_by_usim { "ef-suci-calc-info-usim" } else { "ef-suci-calc-info" };
    terms.octets(name, suci, "5g.suci-keys");
    terms.octets("ef-supinai", g.supi_nai.as_ref().map(|nai| coding::tagged(nai)), "5g.supi-nai");
    terms.octets(
        "ef-ursp",
        g.ursp.as_ref().map(|ursp| {
            let mut out = Vec::new();
            rsp::der::write_tlv(rsp::der::Tag(0x80), ursp, &mut out);
            out
        }),
        "5g.ursp",
    );
    if let Some(isim) = &d.isim {
        terms.octets("ef-impi", isim.impi.as_ref().map(|text| coding::tagged(text)), "isim.impi");
        let first = isim.impu.as_ref().and_then(|list| list.first());
        terms.octets("ef-impu", first.map(|text| coding::tagged(text)), "isim.impu");
        terms.octets("ef-domain", isim.domain.as_ref().map(|text| coding::tagged(text)), "isim.domain");
    }
    for KeySet { version, enc, mac, dek, .. } in &d.security_domain.keys {
        for (which, key) in [("enc", enc), ("mac", mac), ("dek", dek)] {
            terms.secret(&format!("sd-{version}-{which}"), Some(key), "security-domain.keys");
        }
    }
    terms.0
}

struct Terms(Vec<Term>);

impl Terms {
    fn text(&mut self, name: &str, value: Option<String>, source: &'static str) {
        self.0.extend(value.map(|value| Term {
            name: name.to_owned(),
            value,
            filling: 0xFF,
            source: Some(source),
        }));
    }

    fn octets(&mut self, name: &str, value: Option<Vec<u8>>, source: &'static str) {
        self.text(name, value.map(|octets| hex::encode_upper(&octets)), source);
    }

    fn secret(&mut self, name: &str, value: Option<&SecretOctets>, source: &'static str) {
        self.text(name, value.map(|value| hex::encode_upper(value.expose())), source);
    }
}
