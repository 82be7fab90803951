//! Cases of ES9+.HandleNotification: SGP.22 section 5.6.4, SGP.23 section 4.3.15.
//!
//! The function has no response other than HTTP 204. The effect of a notification is therefore
//! checked with later calls or with the admin API.

use certs::{Defect, Role};
use rsp::der::{Asn1, Raw};
use rsp::ids::{Iccid, TransactionId};
use rsp::sgp22::es8plus::{BppCommandId, ErrorReason, ProfileInstallationResultData};
use rsp::sgp22::es9plus::AuthenticateClient;
use rsp::sgp22::{OtherSignedNotification, PendingNotification, notification_event};
use rsp::status::Status;

use crate::case::{Case, Need, Run, run};
use crate::order::Order;
use crate::testbed::{Bound, Testbed};
use crate::verdict::{During, Stop, Verdict, equal};

const FUNCTION: &str = "ES9+.HandleNotification";
const CLAUSE: &str = "5.6.4";
/// The tag of notificationMetadata.
const METADATA: [u8; 2] = [0xBF, 0x2F];
const TEST: &str = "4.3.15.2.1 TC_SM-DP+_ES9+_HandleNotificationNIST";

fn case(title: &str, run: Run) -> Case {
    Case::new(FUNCTION, CLAUSE, title, run).order(Order::PLAIN)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        case("an installation result and all later notifications are accepted", all_notifications())
            .id(TEST, "01"),
        case("an enable notification is accepted after an installation result", installed_and_enabled())
            .id(TEST, "02"),
        case("a successful installation sets the profile to Installed", installed_state()).need(Need::Admin),
        case("a repeated notification is acknowledged and changes nothing", repeated()).need(Need::Admin),
        case("a deletion is accepted from the eUICC with the profile", deleted()).need(Need::Admin),
    ];
    cases.extend(failed_installations());
    cases.extend(invalid_results());
    cases.extend(invalid_notifications());
    cases.push(case("a notification that cannot be decoded is acknowledged", undecodable()));
    cases.push(case("a notification with an ICCID in another coding is acknowledged", other_coding()));
    cases
}

impl Testbed<'_> {
    fn notification_of(&self, number: i64, event: usize, bound: &Bound) -> OtherSignedNotification {
        let iccid = bound.opened.metadata.iccid;
        self.euicc.notification(number, event, &self.server.address, iccid)
    }

    async fn send_notification(&self, number: i64, event: usize, bound: &Bound) -> Verdict {
        let notification = self.notification_of(number, event, bound);
        self.notify(PendingNotification::OtherSignedNotification(notification)).await
    }

    /// Checks that the order is used up: another download is refused.
    async fn expect_used_up(&self) -> Verdict {
        let started = self.initiate().await?;
        let proof = self.euicc.authenticate(&started.ok, &self.placed_order()?.matching_id).request()?;
        self.refused::<AuthenticateClient>(&proof, Status::MatchingIdRefused)
            .await
            .during("after the notifications")
    }
}

fn all_notifications() -> Run {
    run!(|testbed| {
        let bound = testbed.download().await?;
        testbed.notify(testbed.installed(&bound)).await?;
        testbed.send_notification(2, notification_event::ENABLE, &bound).await.during("enable")?;
        testbed.send_notification(3, notification_event::DISABLE, &bound).await.during("disable")?;
        testbed.expect_used_up().await?;
        testbed.send_notification(4, notification_event::DELETE, &bound).await.during("delete")
    })
}

fn installed_and_enabled() -> Run {
    run!(|testbed| {
        let bound = testbed.download().await?;
        testbed.notify(testbed.installed(&bound)).await?;
        testbed.send_notification(3, notification_event::ENABLE, &bound).await?;
        testbed.expect_used_up().await
    })
}

fn installed_state() -> Run {
    run!(|testbed| {
        let bound = testbed.download().await?;
        testbed.expect_state("Downloaded").await.during("before the installation result")?;
        testbed.notify(testbed.installed(&bound)).await?;
        testbed.expect_state("Installed").await?;
        equal("installedOn", &testbed.profile().await?.installed_on, &vec![testbed.euicc.eid.to_string()])
    })
}

fn repeated() -> Run {
    run!(|testbed| {
        let bound = testbed.download().await?;
        for _ in 0..3 {
            testbed.notify(testbed.installed(&bound)).await?;
        }
        testbed.expect_state("Installed").await?;
        for _ in 0..2 {
            testbed.send_notification(4, notification_event::DELETE, &bound).await?;
        }
        // A delayed installation result must not restore the installation.
        testbed.notify(testbed.installed(&bound)).await?;
        equal("installedOn", &testbed.profile().await?.installed_on, &Vec::new())
    })
}

fn deleted() -> Run {
    run!(|testbed| {
        let bound = testbed.download().await?;
        testbed.notify(testbed.installed(&bound)).await?;
        testbed.send_notification(2, notification_event::DELETE, &bound).await?;
        equal("installedOn", &testbed.profile().await?.installed_on, &Vec::new())
    })
}

// --- Failed installations ------------------------------------------------------------------------

const REASONS: &[(&str, BppCommandId, ErrorReason, &str)] = &[
    ("04", BppCommandId::CONFIGURE_ISDP, ErrorReason::INCORRECT_INPUT_VALUES, "incorrectInputValues"),
    ("05", BppCommandId::INITIALISE_SECURE_CHANNEL, ErrorReason::INVALID_SIGNATURE, "invalidSignature"),
    (
        "06",
        BppCommandId::INITIALISE_SECURE_CHANNEL,
        ErrorReason::UNSUPPORTED_CRT_VALUES,
        "unsupportedCrtValues",
    ),
    (
        "07",
        BppCommandId::INITIALISE_SECURE_CHANNEL,
        ErrorReason::UNSUPPORTED_REMOTE_OPERATION_TYPE,
        "unsupportedRemoteOperationType",
    ),
    ("08", BppCommandId::STORE_METADATA, ErrorReason::UNSUPPORTED_PROFILE_CLASS, "unsupportedProfileClass"),
    ("09", BppCommandId::CONFIGURE_ISDP, ErrorReason::SCP03T_STRUCTURE_ERROR, "scp03tStructureError"),
    ("10", BppCommandId::CONFIGURE_ISDP, ErrorReason::SCP03T_SECURITY_ERROR, "scp03tSecurityError"),
    (
        "11",
        BppCommandId::STORE_METADATA,
        ErrorReason::INSTALL_FAILED_DUE_TO_ICCID_ALREADY_EXISTS_ON_EUICC,
        "installFailedDueToIccidAlreadyExistsOnEuicc",
    ),
    (
        "12",
        BppCommandId::LOAD_PROFILE_ELEMENTS,
        ErrorReason::INSTALL_FAILED_DUE_TO_INSUFFICIENT_MEMORY_FOR_PROFILE,
        "installFailedDueToInsufficientMemoryForProfile",
    ),
    (
        "13",
        BppCommandId::LOAD_PROFILE_ELEMENTS,
        ErrorReason::INSTALL_FAILED_DUE_TO_INTERRUPTION,
        "installFailedDueToInterruption",
    ),
    (
        "14",
        BppCommandId::LOAD_PROFILE_ELEMENTS,
        ErrorReason::INSTALL_FAILED_DUE_TO_PE_PROCESSING_ERROR,
        "installFailedDueToPEProcessingError",
    ),
    (
        "15",
        BppCommandId::LOAD_PROFILE_ELEMENTS,
        ErrorReason::INSTALL_FAILED_DUE_TO_DATA_MISMATCH,
        "installFailedDueToDataMismatch",
    ),
    (
        "16",
        BppCommandId::LOAD_PROFILE_ELEMENTS,
        ErrorReason::TEST_PROFILE_INSTALL_FAILED_DUE_TO_INVALID_NAA_KEY,
        "testProfileInstallFailedDueToInvalidNaaKey",
    ),
    ("17", BppCommandId::STORE_METADATA, ErrorReason::PPR_NOT_ALLOWED, "pprNotAllowed"),
    (
        "18",
        BppCommandId::LOAD_PROFILE_ELEMENTS,
        ErrorReason::INSTALL_FAILED_DUE_TO_UNKNOWN_ERROR,
        "installFailedDueToUnknownError",
    ),
];

fn failed_installations() -> Vec<Case> {
    let mut cases: Vec<_> = REASONS
        .iter()
        .map(|(number, command, reason, name)| {
            let run = failed_installation(*command, *reason);
            case(&format!("an installation that fails with {name} ends the order"), run).id(TEST, *number)
        })
        .collect();
    let run = failed_installation(BppCommandId(9), ErrorReason(77));
    cases.push(case("an installation that fails with a reason of a later version ends the order", run));
    cases
}

fn failed_installation(command: BppCommandId, reason: ErrorReason) -> Run {
    run!(|testbed| {
        let bound = testbed.download().await?;
        let data = testbed.euicc.not_installed(
            &bound.transaction_id,
            &bound.smdp_oid,
            &testbed.server.address,
            bound.opened.metadata.iccid,
            (command, reason),
        );
        testbed.notify(testbed.euicc.signed_result(data)).await?;
        testbed.expect_used_up().await?;
        if testbed.server.admin.is_some() { testbed.expect_state("Error").await } else { Ok(()) }
    })
}

// --- Invalid notifications -----------------------------------------------------------------------

type CorruptResult = fn(&Testbed<'_>, &mut ProfileInstallationResultData) -> Verdict;

const RESULTS: &[(Option<&str>, &str, CorruptResult)] = &[
    (Some("03"), "an installation result with an unknown TransactionID changes nothing", |_, it| {
        it.transaction_id = TransactionId(vec![1; 16]);
        Ok(())
    }),
    (None, "an installation result for another SM-DP+ changes nothing", |_, it| {
        it.smdp_oid = Some("2.999.11".parse().map_err(|_| Stop::needs("an OID"))?);
        Ok(())
    }),
    (None, "an installation result without the event notificationInstall changes nothing", |_, it| {
        it.notification_metadata.profile_management_operation =
            rsp::der::BitString::of(&[notification_event::ENABLE]);
        Ok(())
    }),
    (None, "an installation result for another profile changes nothing", |testbed, it| {
        it.notification_metadata.iccid = Some(crate::arrange::fresh_iccid(testbed)?);
        Ok(())
    }),
];

fn invalid_results() -> Vec<Case> {
    let mut cases: Vec<_> = RESULTS
        .iter()
        .map(|(id, title, corrupt)| {
            let corrupt = *corrupt;
            let run = run!(|testbed| {
                let bound = testbed.download().await?;
                let mut data = result_of(testbed, &bound);
                corrupt(testbed, &mut data)?;
                testbed.notify(testbed.euicc.signed_result(data)).await?;
                testbed.download().await.during("afterwards, with the order unchanged").map(|_| ())
            });
            case(title, run).id(TEST, *id)
        })
        .collect();
    let run = run!(|testbed| {
        let bound = testbed.download().await?;
        testbed.notify(testbed.other_euicc.signed_result(result_of(testbed, &bound))).await?;
        testbed.download().await.during("afterwards, with the order unchanged").map(|_| ())
    });
    cases.push(case("an installation result signed by another eUICC changes nothing", run));
    cases
}

fn result_of(testbed: &Testbed<'_>, bound: &Bound) -> ProfileInstallationResultData {
    let iccid = bound.opened.metadata.iccid;
    testbed.euicc.installed(&bound.transaction_id, &bound.smdp_oid, &testbed.server.address, iccid)
}

type CorruptNotification = fn(&Testbed<'_>, &mut OtherSignedNotification) -> Verdict;

const NOTIFICATIONS: &[(&str, CorruptNotification)] = &[
    ("a deletion signed by another eUICC", |testbed, it| {
        let notification = it.tbs_other_notification.clone();
        let iccid = notification.iccid.ok_or_else(|| Stop::needs("an ICCID"))?;
        let event = notification_event::DELETE;
        *it = testbed.other_euicc.notification(
            notification.seq_number,
            event,
            &notification.notification_address,
            iccid,
        );
        Ok(())
    }),
    ("a deletion with an invalid signature", |_, it| {
        if let Some(octet) = it.euicc_notification_signature.get_mut(3) {
            *octet ^= 1;
        }
        Ok(())
    }),
    ("a deletion with a modified sequence number", |_, it| {
        let mut metadata = it.tbs_other_notification.clone().into_value();
        metadata.seq_number = 99;
        it.tbs_other_notification = Raw::new(metadata);
        Ok(())
    }),
    ("a deletion with an expired EUM certificate", |testbed, it| {
        it.eum_certificate.0 = testbed.server.pki.issue_with(Defect::Expired, Role::Eum, testbed.curve)?.der;
        Ok(())
    }),
];

fn invalid_notifications() -> Vec<Case> {
    NOTIFICATIONS
        .iter()
        .map(|(what, corrupt)| {
            let corrupt = *corrupt;
            let run = run!(|testbed| {
                let bound = testbed.download().await?;
                testbed.notify(testbed.installed(&bound)).await?;
                let mut notification = testbed.notification_of(2, notification_event::DELETE, &bound);
                corrupt(testbed, &mut notification)?;
                testbed.notify(PendingNotification::OtherSignedNotification(notification)).await?;
                let installed_on = testbed.profile().await?.installed_on;
                equal("installedOn", &installed_on, &vec![testbed.euicc.eid.to_string()])
            });
            case(&format!("{what} is acknowledged and changes nothing"), run).need(Need::Admin)
        })
        .collect()
}

/// An LPA repeats a notification until it gets a 2xx status (section 3.5), so that it would repeat a
/// refused one for ever.
fn undecodable() -> Run {
    run!(|testbed| {
        let bound = testbed.download().await?;
        testbed.notify(testbed.installed(&bound)).await?;
        let notification = testbed.notification_of(2, notification_event::ENABLE, &bound);
        let mut octets = PendingNotification::OtherSignedNotification(notification).to_der();
        // The mandatory element seqNumber gets another tag. It follows the header of the metadata.
        let metadata = octets.windows(2).position(|tag| tag == METADATA);
        let seq_number = metadata.and_then(|at| octets.get_mut(at + 3));
        *seq_number.ok_or_else(|| Stop::needs("a notification with metadata"))? = 0x8F;
        testbed.notify_octets(&octets).await?;
        testbed.expect_used_up().await
    })
}

/// Third-party cards send ICCIDs that are not coded as in EF.ICCID.
fn other_coding() -> Run {
    run!(|testbed| {
        let bound = testbed.download().await?;
        testbed.notify(testbed.installed(&bound)).await?;
        let plain_order = Iccid(bound.opened.metadata.iccid.to_profile_header());
        let hexadecimal = Iccid([0x98, 0x68, 0x00, 0x40, 0xA0, 0xB0, 0xC0, 0xD0, 0xE0, 0xF0]);
        for (number, iccid) in [(2, plain_order), (3, hexadecimal)] {
            let address = &testbed.server.address;
            let notification = testbed.euicc.notification(number, notification_event::ENABLE, address, iccid);
            testbed
                .notify(PendingNotification::OtherSignedNotification(notification))
                .await
                .during(&format!("ICCID {iccid}"))?;
        }
        testbed.expect_used_up().await
    })
}
