//! Downloads that are interrupted at each of their messages and then repeated (SGP.22 sections
//! 3.1.3 and 3.5).

use device::lpa::{DownloadError, DownloadOptions, Handled, Installed, SessionError};
use rsp::activation_code::ActivationCode;
use rsp::status::Status;
use sm_dp::ProfileState;

use crate::testbed::{ADDRESS, Bench, LOCAL, Mishap, iccid};

/// Way in which the device gets its profile.
#[derive(Clone, Copy, Debug)]
enum Way {
    ActivationCode,
    WithConfirmationCode,
    DefaultSmDp,
}

const CONFIRMATION_CODE: &str = "1234";

impl Way {
    async fn order(self, bench: &mut Bench) -> ActivationCode {
        match self {
            Self::ActivationCode => bench.order(LOCAL, None).await,
            Self::WithConfirmationCode => bench.order(LOCAL, Some(CONFIRMATION_CODE)).await,
            Self::DefaultSmDp => {
                let address = ADDRESS.parse().unwrap();
                bench.device.lpa.set_default_smdp_address(Some(&address)).await.unwrap();
                let eid = bench.eid();
                bench
                    .order_as(LOCAL, |confirm| {
                        confirm.eid = Some(eid);
                        confirm.matching_id = Some(String::new());
                    })
                    .await
            }
        }
    }

    async fn download(self, bench: &mut Bench, code: &ActivationCode) -> Result<Installed, DownloadError> {
        let options = |code: Option<&str>| DownloadOptions {
            confirmation_code: code.map(str::to_owned),
            ..DownloadOptions::default()
        };
        match self {
            Self::ActivationCode => bench.device.lpa.download(code, options(None)).await,
            Self::WithConfirmationCode => {
                bench.device.lpa.download(code, options(Some(CONFIRMATION_CODE))).await
            }
            Self::DefaultSmDp => bench.device.lpa.download_from_default(options(None)).await,
        }
    }
}

/// Messages of a download, and the state of the order after each.
const MESSAGES: [(&str, ProfileState); 4] = [
    ("initiateAuthentication", ProfileState::Released),
    ("authenticateClient", ProfileState::Released),
    ("getBoundProfilePackage", ProfileState::Downloaded),
    ("handleNotification", ProfileState::Installed),
];

async fn survives_every_cut(way: Way) {
    let mut before = ProfileState::Released;
    for (message, after) in MESSAGES {
        for (cut, state) in [(Mishap::CutBefore(message), before), (Mishap::CutAfter(message), after)] {
            for restarts in [false, true] {
                let Some(mut bench) = Bench::new().await else { return };
                let code = way.order(&mut bench).await;
                bench.mishap(&[cut]);
                let first = way.download(&mut bench, &code).await;
                let told = format!("{way:?}, {cut:?}, restarts: {restarts}: {first:?}");
                assert_eq!(bench.state(LOCAL).await, state, "{told}");
                bench.reconnect();
                if restarts {
                    bench.power_cycle();
                }
                match first {
                    Ok(installed) => {
                        assert_eq!(message, "handleNotification", "{told}");
                        assert!(matches!(installed.notification.handled, Handled::Kept(_)), "{told}");
                        let delivered = bench.device.lpa.process_notifications().await.unwrap();
                        assert!(matches!(&delivered[..], [only] if only.failure().is_none()), "{told}");
                    }
                    Err(error) => {
                        assert!(error.may_be_tried_again(), "{told}");
                        assert_eq!(bench.profiles().await.0, [], "{told}");
                        let installed = way.download(&mut bench, &code).await.unwrap();
                        assert_eq!(installed.notification.handled, Handled::Delivered, "{told}");
                    }
                }
                is_installed_once(way, &mut bench, &code, &told).await;
            }
        }
        before = after;
    }
}

/// Checks that the profile is installed once, on the card and at the SM-DP+, and that nothing is
/// left to deliver or to download.
async fn is_installed_once(way: Way, bench: &mut Bench, code: &ActivationCode, told: &str) {
    assert_eq!(bench.profiles().await.0, [iccid(LOCAL)], "{told}");
    assert_eq!(bench.device.lpa.process_notifications().await.unwrap(), [], "{told}");
    let again = way.download(bench, code).await.unwrap_err();
    let DownloadError::Session(SessionError::Server(error)) = &again else { panic!("{told}: {again}") };
    let nothing_left = match way {
        Way::DefaultSmDp => Status::EidNotAllowed,
        Way::ActivationCode | Way::WithConfirmationCode => Status::MatchingIdRefused,
    };
    assert_eq!(error.status(), Some(nothing_left), "{told}");
    assert_eq!(bench.state(LOCAL).await, ProfileState::Installed, "{told}");
    assert_eq!(bench.profiles().await.0, [iccid(LOCAL)], "{told}");
    let installations = bench.server.installations(iccid(LOCAL)).await.unwrap();
    assert!(matches!(&installations[..], [only] if only.eid == bench.eid()), "{told}: {installations:?}");
}

#[tokio::test]
async fn a_download_with_an_activation_code_survives_a_cut_at_every_message() {
    survives_every_cut(Way::ActivationCode).await;
}

#[tokio::test]
async fn a_download_with_a_confirmation_code_survives_a_cut_at_every_message() {
    survives_every_cut(Way::WithConfirmationCode).await;
}

#[tokio::test]
async fn a_download_from_the_default_sm_dp_survives_a_cut_at_every_message() {
    survives_every_cut(Way::DefaultSmDp).await;
}
