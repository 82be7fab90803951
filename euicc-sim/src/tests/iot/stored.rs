//! Tests that the memory of an IoT eUICC of each release can be read.

use crypto::Curve;
use rsp::sgp32::{Eco, EuiccPackage};
use world::{Memory, RamMemory};

use super::super::server::Server;
use super::super::stored::{checked, regenerate};
use super::super::testbed::{Testbed, description, pki};
use super::testbed::{
    Eim, associate, delete, enable_with_rollback, enabled, install, make_iot, set_fallback,
};

fn open(memory: RamMemory) -> Testbed {
    Testbed::with(pki(), |description| make_iot(description, |_| {}), memory)
}

#[test]
fn the_memory_of_an_iot_card_of_each_release_can_be_read() {
    let name = "iot-0.1.json";
    regenerate(name, || {
        let memory = RamMemory::default();
        let mut testbed = open(memory.clone());
        let mut eim = Eim::new("eim-1");
        eim.token = associate(&mut testbed, &eim.configuration());
        install(&mut testbed, 1, |_| {});
        install(&mut testbed, 2, |metadata| metadata.fallback_allowed = Some(true));
        let other = Eco::AddEim(Box::new(Eim::new("eim-2").configuration()));
        assert_eq!(eim.send(&mut testbed, EuiccPackage::of_ecos([other])), ["A803840102"]);
        assert_eq!(eim.run(&mut testbed, [super::testbed::enable(1)]), ["830100"]);
        testbed.reset();
        assert_eq!(eim.run(&mut testbed, [set_fallback(2), enable_with_rollback(2)]), ["8D0100", "830100"]);
        testbed.reset();
        // A third download begins, so that the card keeps a one-time key.
        Server::new(&testbed, Curve::P256).prepare(&mut testbed);
        memory.load().unwrap()
    });
    let eid = description(&pki()).eid;
    let cells = checked(name, eid);
    let mut testbed = open(RamMemory::of(cells));
    assert_eq!(enabled(&mut testbed), Some(2));
    let iot = testbed.state().iot();
    let counters: Vec<(&str, i64, Option<i64>)> =
        iot.eims.iter().map(|eim| (eim.id(), eim.counter, eim.token())).collect();
    assert_eq!(counters, [("eim-1", 3, Some(1)), ("eim-2", 0, Some(2))]);
    assert_eq!(iot.results.len(), 3);
    let rolled_back = testbed.es10_text("BF58038001FF");
    assert!(rolled_back[6..].starts_with("020100BF51"), "{rolled_back}");
    testbed.reset();
    assert_eq!(enabled(&mut testbed), Some(1));
    let mut eim = Eim { counter: 3, token: Some(1), ..Eim::new("eim-1") };
    assert_eq!(eim.run(&mut testbed, [delete(2)]), ["850100"]);
}
