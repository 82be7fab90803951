//! EISs as sent by an EUM or another SM-SR: a valid one, and invalid ones with one defect each.

use certs::{Credential, Defect, Role, m2m::CardDefect};
use cli::m2m::factory::{self, FirstProfile};
use crypto::Curve;
use net::OsClock;
use rsp::{
    ids::{Aid, Eid, Oid},
    sgp02::{
        BaseRequest, Message as _, Namespace, Octets,
        eis::{Eis, EumSignedInfo, KeysetType, ProfileState},
        es1::RegisterEisRequest,
        signature::Canonical,
    },
};
use rsp_server::soap::eum;
use world::Clock as _;

use crate::testbed::Testbed;

/// Returns the EIS of a new card with its own number, for this SM-SR.
pub(crate) fn of(testbed: &Testbed, eid: Eid, sm_sr: &Oid) -> Eis {
    let first = FirstProfile {
        package: std::fs::read(&testbed.first.file).unwrap(),
        operator: testbed.operators[0].id.clone(),
        msisdn: number_of(eid).parse().unwrap(),
    };
    factory::eis(&testbed.pki, eid, &first, sm_sr, None, Namespace::V3, OsClock.now()).unwrap()
}

/// Returns the MSISDN of a card that no device uses.
fn number_of(eid: Eid) -> String {
    let digits = eid.to_string();
    format!("+4477008{}", &digits[digits.len() - 7..])
}

/// Returns the XML elements of an EIS without the enclosing element.
pub(crate) fn xml(eis: &Eis) -> String {
    let request = RegisterEisRequest { base: BaseRequest::new("x"), eis: eis.clone() };
    let text = request.to_xml(Namespace::V3);
    let (_, rest) = text.split_once("<rps:Eis>").unwrap();
    rest.rsplit_once("</rps:Eis>").unwrap().0.to_owned()
}

/// Changes the signed information of an EIS and signs it with this key.
fn signed(
    mut eis: Eis,
    by: &crypto::SecretKey,
    certificate: &[u8],
    change: impl Fn(&mut EumSignedInfo),
) -> Eis {
    let mut info = eis.eum_signed_info.clone().into_value();
    change(&mut info);
    eis.eum_signed_info = Canonical::eum_signed_info(info, Namespace::V3);
    eis.eum_signature = eum::sign(&eis.eum_signed_info, by, Some(certificate));
    eis
}

/// Returns EISs of the same card with the defects that the tables name.
pub(crate) fn wrong(testbed: &Testbed, eid: Eid, sm_sr: &Oid) -> Vec<(&'static str, String)> {
    let good = of(testbed, eid, sm_sr);
    let eum: Credential = testbed.pki.credential(Role::Eum, Curve::P256).unwrap();
    let mut all = Vec::new();
    let mut changed = |name, change: &dyn Fn(&mut Eis)| {
        let mut eis = good.clone();
        change(&mut eis);
        all.push((name, xml(&eis)));
    };
    changed("no ISD-R", &|eis| eis.isd_r = None);
    changed("another AID", &|eis| eis.isd_r.as_mut().unwrap().aid = Aid(Aid::ECASD.to_vec()));
    changed("two enabled", &|eis| {
        let second = other_profile(eis, ProfileState::Enabled, false);
        eis.profile_info.push(second);
    });
    changed("two to fall back to", &|eis| {
        let second = other_profile(eis, ProfileState::Disabled, true);
        eis.profile_info.push(second);
    });
    changed("twice the same", &|eis| {
        let mut second = eis.profile_info[0].clone();
        (second.state, second.fallback_attribute) = (ProfileState::Disabled, false);
        eis.profile_info.push(second);
    });
    changed("no SCP80", &|eis| {
        eis.isd_r.as_mut().unwrap().keyset.retain(|set| set.r#type != Some(KeysetType::Scp80));
    });
    changed("DES", &|eis| first_key(eis).key_components[0].r#type = 0x82);
    changed("short key", &|eis| first_key(eis).key_components[0].value = Octets(vec![1; 15]));
    changed("another key", &|eis| first_key(eis).key_components[0].value = Octets(vec![1; 16]));
    changed("missing key", &|eis| drop(eis.isd_r.as_mut().unwrap().keyset[0].key.remove(0)));
    changed("little room", &|eis| eis.available_memory_for_profiles = 100);
    changed("the profile", &|eis| {
        eis.profile_info[0].iccid = testbed.stock[0].iccid.parse().unwrap();
    });
    changed("another name", &|eis| {
        let mut info = eis.eum_signed_info.clone().into_value();
        info.platform_type = "Another platform".to_owned();
        eis.eum_signed_info = Canonical::eum_signed_info(info, Namespace::V3);
    });
    changed("no certificate", &|eis| {
        eis.eum_signature = eum::sign(&eis.eum_signed_info, &eum.key, None);
    });

    let mut resigned = |name, certificate: &[u8], change: &dyn Fn(&mut EumSignedInfo)| {
        all.push((name, xml(&signed(good.clone(), &eum.key, certificate, change))));
    };
    let ours = eum.certificate.der();
    for (name, defect) in [("expired EUM", Defect::Expired), ("strange EUM", Defect::StrangerCi)] {
        let broken = testbed.pki.issue_with(defect, Role::Eum, Curve::P256).unwrap();
        resigned(name, &broken.der, &|_| {});
    }
    for (name, defect) in
        [("expired ECASD", CardDefect::Expired), ("forged ECASD", CardDefect::ForgedSignature)]
    {
        let (broken, _) = testbed.pki.ecasd_with(defect, eid).unwrap();
        resigned(name, ours, &|info| {
            info.ecasd.keyset[0].certificate[0].value = Octets(broken.clone());
        });
    }
    resigned("no ECASD", ours, &|info| info.ecasd.keyset[0].certificate.clear());
    all
}

fn other_profile(eis: &Eis, state: ProfileState, fallback_attribute: bool) -> rsp::sgp02::eis::ProfileInfo {
    rsp::sgp02::eis::ProfileInfo {
        iccid: "8944990000000000012".parse().unwrap(),
        isd_p_aid: Aid::isd_p(0x20),
        state,
        fallback_attribute,
        ..eis.profile_info[0].clone()
    }
}

fn first_key(eis: &mut Eis) -> &mut rsp::sgp02::eis::Key {
    &mut eis.isd_r.as_mut().unwrap().keyset[0].key[0]
}
