//! The Fallback Mechanism (SGP.32 sections 5.9.20 and 5.9.21), connectivity parameters (5.9.24) and
//! eUICCMemoryReset (5.9.5).

use rsp::der::BitString;
use rsp::sgp32::es10b::{EuiccMemoryResetRequest, reset_options};

use super::super::profiles::REFRESHES;
use super::super::testbed::Testbed;
use super::testbed::{
    Eim, answer, associate, card, card_in_use, delete, disable, enable, enabled, install, refresh,
    set_fallback,
};

/// A card whose profile 4 has the Fallback Attribute.
fn with_fallback() -> (Testbed, Eim) {
    let (mut testbed, mut eim) = card_in_use(|_| {});
    install(&mut testbed, 4, |metadata| metadata.fallback_allowed = Some(true));
    assert_eq!(eim.run(&mut testbed, [set_fallback(4)]), ["8D0100"]);
    (testbed, eim)
}

fn execute(testbed: &mut Testbed) -> String {
    testbed.es10_text("BF5D03800100")
}

fn give_back(testbed: &mut Testbed) -> String {
    testbed.es10_text("BF5E03800100")
}

const OK: &str = "BF5D03800100";
const RETURNED: &str = "BF5E03800100";

#[test]
fn the_card_falls_back_and_returns() {
    let (mut testbed, _) = with_fallback();
    assert_eq!(give_back(&mut testbed), "BF5E03800106");
    assert_eq!(execute(&mut testbed), OK);
    assert_eq!(enabled(&mut testbed), Some(4));
    assert_eq!(execute(&mut testbed), "BF5D03800102");
    testbed.reset();
    assert_eq!(give_back(&mut testbed), RETURNED);
    assert_eq!(enabled(&mut testbed), Some(1));
    assert_eq!(give_back(&mut testbed), "BF5E03800106");

    // The flag 01 01 FF of another project is accepted.
    assert_eq!(testbed.es10_text("BF5D030101FF"), OK);
    assert_eq!(enabled(&mut testbed), Some(1));
    testbed.reset();
    assert_eq!(enabled(&mut testbed), Some(4));
}

#[test]
fn fallback_needs_the_attribute_and_an_enabled_profile() {
    // req: SGP.32-5.9.20-Order, SGP.32-5.9.21-NotAvailable
    let (mut testbed, mut eim) = card_in_use(|_| {});
    assert_eq!(execute(&mut testbed), "BF5D03800106");
    assert_eq!(give_back(&mut testbed), "BF5E03800106");
    assert_eq!(eim.run(&mut testbed, [disable(1)]), ["840100"]);
    testbed.reset();
    assert_eq!(execute(&mut testbed), "BF5D03800107");
}

#[test]
fn fallback_waits_for_a_pending_refresh() {
    let (mut testbed, mut eim) = with_fallback();
    testbed.expect(REFRESHES, "9000");
    assert_eq!(eim.run(&mut testbed, [enable(2)]), ["830100"]);
    assert_eq!(execute(&mut testbed), "BF5D03800105");
    refresh(&mut testbed);
    testbed.expect(REFRESHES, "9000");
    assert_eq!(testbed.es10_text("BF5D038001FF"), OK);
    assert_eq!(enabled(&mut testbed), Some(2));
    refresh(&mut testbed);
    testbed.expect(REFRESHES, "9000");
    assert_eq!(enabled(&mut testbed), Some(4));
    // The REFRESH that enables the Emergency Profile is pending.
    install(&mut testbed, 5, |metadata| metadata.ecall_indication = Some(true));
    assert_eq!(testbed.es10_text("BF5B038001FF"), "BF5B03800100");
    assert_eq!(testbed.es10_text("BF5E038001FF"), "BF5E03800105");
    refresh(&mut testbed);
    assert_eq!(testbed.es10_text("BF5C03800100"), "BF5C03800100");
    assert_eq!(testbed.es10_text("BF5E038001FF"), RETURNED);
    testbed.reset();
    assert_eq!(enabled(&mut testbed), Some(2));
}

#[test]
fn a_package_that_enables_a_profile_ends_the_fallback() {
    let (mut testbed, mut eim) = with_fallback();
    assert_eq!(execute(&mut testbed), OK);
    assert_eq!(eim.run(&mut testbed, [enable(2)]), ["830100"]);
    testbed.reset();
    assert_eq!(enabled(&mut testbed), Some(2));
    assert_eq!(give_back(&mut testbed), "BF5E03800106");
    // The profile that was enabled before can be deleted now.
    assert_eq!(eim.run(&mut testbed, [delete(1)]), ["850100"]);
}

#[test]
fn connectivity_parameters_are_those_of_the_enabled_profile() {
    let (mut testbed, _) = card_in_use(|_| {});
    assert_eq!(testbed.es10_text("BF5F00"), "BF5F03810101");
    let enabled = testbed.card.persistent.enabled.clone().unwrap();
    let mut set = |octets: &str| {
        for profile in &mut testbed.card.persistent.profiles {
            if profile.isd_p == enabled {
                let facts = &mut std::sync::Arc::make_mut(profile).content.facts;
                facts.connectivity_parameters = profile::Octets::from_hex(octets);
            }
        }
        testbed.es10_text("BF5F00")
    };
    // SMS and HTTPS parameters, then SMS parameters only.
    assert_eq!(
        set("A00906079133869942 11F1 A105350103 4700".replace(' ', "").as_str()),
        "BF5F09A00781053501034700"
    );
    assert_eq!(set("A009060791338699421 1F1".replace(' ', "").as_str()), "BF5F03810101");
    assert_eq!(set("A1"), "BF5F03810101");
}

fn reset(testbed: &mut Testbed, bits: &[usize]) -> String {
    answer(testbed, &EuiccMemoryResetRequest { reset_options: BitString::of(bits) })
}

#[test]
fn a_memory_reset_has_each_result() {
    use reset_options::*;
    let (mut testbed, _) = card_in_use(|_| {});
    assert_eq!(reset(&mut testbed, &[DELETE_FIELD_LOADED_TEST_PROFILES]), "BF6403800101");
    assert_eq!(reset(&mut testbed, &[DELETE_PRE_LOADED_TEST_PROFILES]), "BF6403800101");
    assert_eq!(reset(&mut testbed, &[RESET_DEFAULT_SMDP_ADDRESS]), "BF6403800101");
    assert_eq!(testbed.es10_text("BF650880 06612E62632E64".replace(' ', "").as_str()), "BF6503800100");
    assert_eq!(reset(&mut testbed, &[RESET_DEFAULT_SMDP_ADDRESS]), "BF6403800100");
    // Both paddings of bit 5 are seen from devices.
    assert_eq!(testbed.es10_text("BF6404 82020204".replace(' ', "").as_str()), "BF6406800100810100");
    assert_eq!(testbed.es10_text("BF6404 82020104".replace(' ', "").as_str()), "BF6406800100810101");
    let eim = Eim::new("eim-2");
    // The reset does not reset the tokens.
    assert_eq!(associate(&mut testbed, &eim.configuration()), Some(2));
    assert_eq!(reset(&mut testbed, &[RESET_IMMEDIATE_ENABLE_CONFIG]), "BF6406800100820100");
    testbed.expect(REFRESHES, "9000");
    assert_eq!(
        reset(&mut testbed, &[DELETE_OPERATIONAL_PROFILES, DELETE_PROVISIONING_PROFILES]),
        "BF6403800100"
    );
    assert!(testbed.profiles().is_empty());
    assert_eq!(reset(&mut testbed, &[DELETE_OPERATIONAL_PROFILES]), "BF6403800105");
    testbed.reset();
    assert_eq!(reset(&mut testbed, &[DELETE_OPERATIONAL_PROFILES]), "BF6403800101");

    let mut testbed = card(|iot| {
        iot.eim_reset_supported = false;
        iot.immediate_enable_reset_supported = false;
    });
    associate(&mut testbed, &eim.configuration());
    let both = [RESET_EIM_CONFIG_DATA, RESET_IMMEDIATE_ENABLE_CONFIG];
    assert_eq!(reset(&mut testbed, &both), "BF6409800100810102820101");
}

#[test]
fn a_memory_reset_forgets_the_fallback_profile() {
    let (mut testbed, _) = with_fallback();
    assert_eq!(execute(&mut testbed), OK);
    assert!(reset(&mut testbed, &[reset_options::DELETE_OPERATIONAL_PROFILES]).ends_with("800100"));
    testbed.reset();
    assert_eq!(enabled(&mut testbed), None);
    let iot = testbed.state().iot();
    assert_eq!((&iot.fallback, &iot.before_fallback), (&None, &None));
    assert_eq!(give_back(&mut testbed), "BF5E03800106");
}
