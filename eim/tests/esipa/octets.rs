//! The octets of each message of ESipa in a whole swap: data of the device, download, enable with
//! rollback and list of the profiles, and the poll after which there is no package.
//!
//! `cargo test -p eim --test esipa octets -- --nocapture` prints them for each binding.

use eim::records::{Package, ProfileOperation};
use rsp::{
    der::Raw,
    sgp32::{
        compact::{
            AuthenticateServerResponse, CompactAuthenticateResponseOk, CompactPrepareDownloadResponseOk,
            CompactProfileInstallationResult, PrepareDownloadResponse,
        },
        esipa::{
            EimPackageResult, GetEimPackageResponse, HandleNotificationRequest,
            ProvideEimPackageResultRequest,
        },
        ipa_data::{ProfileDownloadTriggerResult, ProfileDownloadTriggerResultData, ipa_features as feature},
        notification::PendingNotification,
    },
};
use world::Event;

use super::{downloads::*, support::*};

/// The way of the download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The IPA downloads from the SM-DP+.
    Direct,
    /// The IPA downloads through the eIM.
    Indirect,
    /// The same. The eIM keeps the download data, and the IPA leaves out what the eIM knows.
    Compact,
}

/// The octets of the bodies of one function.
#[derive(Debug)]
struct Message {
    function: String,
    from_ipa: u64,
    from_eim: u64,
}

/// Returns the messages of a whole swap in their order.
async fn swap(binding: Binding, way: Way) -> Vec<Message> {
    let testbed = Testbed::new();
    let features: &[usize] = match way {
        Way::Direct => &[feature::DIRECT_RSP_SERVER_COMMUNICATION],
        Way::Indirect => &[feature::INDIRECT_RSP_SERVER_COMMUNICATION],
        Way::Compact => &EVERY_FEATURE,
    };
    let mut card = testbed.registered_in(binding, features).await;
    let ipa = testbed.ipa(binding);
    let code = testbed.released().await;
    testbed.order(&card, download(&code, way == Way::Compact)).await;
    match way {
        Way::Direct => direct(&testbed, &ipa, &card).await,
        Way::Indirect | Way::Compact => indirect(&testbed, &ipa, &card, way == Way::Compact).await,
    }
    for operations in [
        vec![ProfileOperation::Enable { iccid: iccid(), rollback: true }],
        vec![ProfileOperation::ListProfileInfo {}],
    ] {
        testbed.order(&card, Package::ProfileOperations(operations)).await;
        let package = ipa.package(card.eid).await;
        let result = card.execute(&package);
        ipa.provide_result(card.eid, result).await;
    }
    let last = ipa.poll(card.eid).await;
    assert!(matches!(last, GetEimPackageResponse::EimPackageError(_)), "{last:?}");
    let is_esipa = |event: &Event| event.interface == "ESipa";
    testbed.events.all().iter().filter(|event| is_esipa(event)).map(message).collect()
}

fn message(event: &Event) -> Message {
    Message {
        function: event.function.to_string(),
        from_ipa: event.bytes_received,
        from_eim: event.bytes_sent,
    }
}

async fn direct(testbed: &Testbed, ipa: &Ipa, card: &Card) {
    let sent = trigger(ipa, card).await;
    let installed = installation(&card.sgp22(testbed), &"01".parse().unwrap());
    let result = ProfileDownloadTriggerResult {
        eim_transaction_id: sent.eim_transaction_id,
        profile_download_trigger_result_data: ProfileDownloadTriggerResultData::ProfileInstallationResult(
            Box::new(Raw::new(installed)),
        ),
    };
    let request = HandleNotificationRequest::ProvideEimPackageResult(ProvideEimPackageResultRequest {
        eid_value: Some(card.eid),
        eim_package_result: EimPackageResult::ProfileDownloadTriggerResult(result),
    });
    assert_eq!(ipa.notify(&request).await, 204);
}

async fn indirect(testbed: &Testbed, ipa: &Ipa, card: &Card, is_compact: bool) {
    let euicc = card.sgp22(testbed);
    let sent = trigger(ipa, card).await;
    let request = initiation(&euicc, (!is_compact).then_some(SM_DP), sent.eim_transaction_id.as_ref());
    let first = initiate(ipa, &request).await.unwrap();
    let id = first.server_signed1.transaction_id.clone();
    let full = response(&euicc, &first, "CODE-1");
    let answer = match is_compact {
        true => AuthenticateServerResponse::CompactAuthenticateResponseOk(Box::new(
            CompactAuthenticateResponseOk::of(&full, false, false),
        )),
        false => AuthenticateServerResponse::AuthenticateResponseOk(Box::new(full)),
    };
    let second = authenticate(ipa, &id, answer).await.unwrap();
    let metadata = testbed.sm_dp.orders().await.unwrap()[0].metadata.clone();
    let full = prepared(&euicc, &second, &metadata, &euicc.one_time_key());
    let answer = match is_compact {
        true => PrepareDownloadResponse::CompactDownloadResponseOk(CompactPrepareDownloadResponseOk::of(
            &full,
            &second.smdp_signed2,
            None,
        )),
        false => PrepareDownloadResponse::DownloadResponseOk(full),
    };
    package(ipa, &id, answer).await.unwrap();
    let full = installation(&euicc, &id);
    let result = match is_compact {
        true => PendingNotification::CompactProfileInstallationResult(
            CompactProfileInstallationResult::of(&full).unwrap(),
        ),
        false => PendingNotification::ProfileInstallationResult(full),
    };
    let notification = HandleNotificationRequest::PendingNotification(Box::new(Raw::new(result)));
    assert_eq!(ipa.notify(&notification).await, 204);
}

#[tokio::test]
async fn the_octets_of_a_swap_are_least_in_the_compact_form_and_most_in_json() {
    for way in [Way::Direct, Way::Indirect, Way::Compact] {
        let mut sums = Vec::new();
        for binding in BINDINGS {
            let messages = swap(binding, way).await;
            println!("\n{way:?}, {binding:?}: octets from the IPA and from the eIM");
            for Message { function, from_ipa, from_eim } in &messages {
                println!("  {function:<24} {from_ipa:>6} {from_eim:>6}");
            }
            let sum: u64 = messages.iter().map(|message| message.from_ipa + message.from_eim).sum();
            println!("  {:<24} {sum:>13}", "all messages");
            sums.push(sum);
        }
        assert!(sums[0] < sums[1], "{way:?}: {sums:?}");
    }
    for binding in BINDINGS {
        let of_ipa = |messages: Vec<Message>| messages.iter().map(|it| it.from_ipa).sum::<u64>();
        let [whole, compact] =
            [of_ipa(swap(binding, Way::Indirect).await), of_ipa(swap(binding, Way::Compact).await)];
        assert!(compact < whole, "{binding:?}: {compact} and {whole} octets from the IPA");
    }
}
