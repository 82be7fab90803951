//! Tests that the memory of an M2M eUICC of each release can be read. There is a fixture for each
//! stored form.

use rsp::ids::Aid;
use world::{Memory, RamMemory};

use super::oce::{Plan, establish};
use super::testbed::{NEW, Testbed, aid, description};
use crate::CardDescription;
use crate::m2m::stored_isd_ps;
use crate::tests::stored::{checked, regenerate};

/// Only the bootstrap profile is loaded in the factory.
fn with_one_profile(description: &mut CardDescription) {
    description.m2m.as_mut().unwrap().profiles.truncate(1);
}

#[test]
fn the_memory_of_an_m2m_card_of_each_release_can_be_read() {
    let name = "m2m-0.1.json";
    regenerate(name, || {
        let memory = RamMemory::default();
        let mut testbed = Testbed::with(with_one_profile, memory.clone());
        assert_eq!(testbed.create(NEW, None), "009000");
        assert!(establish(&mut testbed, &Plan::for_isd_p(NEW)).1.ends_with("9000"));
        memory.load().unwrap()
    });
    let cells = checked(name, description().eid);
    let mut testbed = Testbed::with(with_one_profile, RamMemory::of(cells));
    let (persistent, _) = testbed.memory();
    assert_eq!(persistent.profiles.len(), 1);
    assert!(persistent.enabled_profile().is_some());
    let enabled = persistent.enabled.clone().unwrap();
    let isd_ps = stored_isd_ps(checked(name, description().eid), description().eid).unwrap();
    let states: Vec<_> = isd_ps
        .iter()
        .map(|one| (one.isd_p.clone(), one.iccid.is_some(), one.is_enabled, one.is_fallback))
        .collect();
    assert_eq!(states, [(enabled, true, true, true), (Aid::isd_p(NEW), false, false, false)]);
    // The ISD-P from the fixture exists, so that its AID cannot be used again.
    assert_ne!(testbed.create(NEW, None), "009000", "{}", aid(NEW));
}
