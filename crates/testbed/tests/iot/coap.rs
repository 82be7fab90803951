//! ESipa over CoAP between the IPA and the eIM.

use device::ipa::Binding;

use super::*;

fn over_coap() -> IotSetup {
    let mut setup = setup();
    setup.ipa.binding = Some(Binding::Coap);
    setup.ipa.features = vec![ipa_features::INDIRECT_RSP_SERVER_COMMUNICATION];
    setup
}

#[test]
fn a_device_moves_although_coap_messages_are_lost_repeated_reordered_and_delayed() {
    for fault in ["coap/lose#20%", "coap/duplicate#50%", "coap/reorder#20%", "coap/delay=3s#30%"] {
        simulate(async |simulation| {
            let mut iot = Iot::from_factory(&simulation, &over_coap()).await.unwrap();
            let code = iot.release(iot.local).await.unwrap();
            let downloaded = iot.order(0, download(code, false)).await.unwrap();
            let moved = iot.order(0, operations([enable(iot.local)])).await.unwrap();
            iot.events.take();
            iot.faults.install(fault.parse().unwrap());
            let report = iot.check_in().await.unwrap();
            all_delivered(&report);
            assert!(iot.faults.injected_count() > 3, "{fault}");
            let outcome = iot.outcome(0, &downloaded).await.unwrap();
            assert!(matches!(outcome, Some(Outcome::Download(_) | Outcome::Installation(_))), "{outcome:?}");
            assert_eq!(results(&iot, 0, &moved).await, ["enable ok(0)"], "{fault}");
            // The eIM executes each request once.
            let events = iot.events.all();
            let of = |party: &str| {
                let esipa = events.iter().filter(|event| event.party == party && event.interface == "ESipa");
                esipa.count()
            };
            assert_eq!(of("IPA"), of("eIM"), "{fault}");
        });
    }
}

/// The device has no service on its new network, so that nothing of CoAP arrives.
#[test]
fn a_profile_without_service_is_rolled_back_over_coap() {
    simulate(async |simulation| {
        let mut iot = Iot::from_factory(&simulation, &over_coap()).await.unwrap();
        let code = iot.release(iot.local).await.unwrap();
        iot.order(0, download(code, false)).await.unwrap();
        iot.check_in().await.unwrap();
        let refusal = network::Policy::refusing_everybody(network::EmmCause::PLMN_NOT_ALLOWED);
        assert!(iot.networks.set_policy(testbed::iot::LOCAL.parse().unwrap(), refusal));
        let moved = iot.order(0, operations([enable(iot.local)])).await.unwrap();
        let report = iot.check_in().await.unwrap();
        assert_eq!(report.changes, [ConnectionChange::RolledBack]);
        assert_eq!(results(&iot, 0, &moved).await, ["rollback ok(0)"]);
    });
}
