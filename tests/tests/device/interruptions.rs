//! Downloads that are interrupted at each of their messages and then repeated (SGP.22 sections
//! 3.1.3 and 3.5).

use device::lpa::{DownloadError, DownloadOptions, Handled, Installed, SessionError};
use rsp::activation_code::ActivationCode;
use rsp::status::Status;
use sm_dp::ProfileState;

use crate::testbed::{ADDRESS, LOCAL, LinkFailure, Testbed, iccid};

/// Way in which the device gets its profile.
#[derive(Clone, Copy, Debug)]
enum Source {
    ActivationCode,
    WithConfirmationCode,
    DefaultSmDp,
}

const CONFIRMATION_CODE: &str = "1234";

impl Source {
    async fn order(self, testbed: &mut Testbed) -> ActivationCode {
        match self {
            Self::ActivationCode => testbed.order(LOCAL, None).await,
            Self::WithConfirmationCode => testbed.order(LOCAL, Some(CONFIRMATION_CODE)).await,
            Self::DefaultSmDp => {
                let address = ADDRESS.parse().unwrap();
                testbed.device.lpa.set_default_smdp_address(Some(&address)).await.unwrap();
                let eid = testbed.eid();
                testbed
                    .order_as(LOCAL, |confirm| {
                        confirm.eid = Some(eid);
                        confirm.matching_id = Some(String::new());
                    })
                    .await
            }
        }
    }

    async fn download(
        self,
        testbed: &mut Testbed,
        code: &ActivationCode,
    ) -> Result<Installed, DownloadError> {
        let options = |code: Option<&str>| DownloadOptions {
            confirmation_code: code.map(|code| code.to_owned().into()),
            ..DownloadOptions::default()
        };
        match self {
            Self::ActivationCode => testbed.device.lpa.download(code, options(None)).await,
            Self::WithConfirmationCode => {
                testbed.device.lpa.download(code, options(Some(CONFIRMATION_CODE))).await
            }
            Self::DefaultSmDp => testbed.device.lpa.download_from_default(options(None)).await,
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

async fn survives_every_cut(source: Source) {
    let mut before = ProfileState::Released;
    for (message, after) in MESSAGES {
        for (cut, state) in
            [(LinkFailure::CutBeforeRequest(message), before), (LinkFailure::CutAfterRequest(message), after)]
        {
            for restarts in [false, true] {
                let mut testbed = Testbed::new().await;
                let code = source.order(&mut testbed).await;
                testbed.inject(&[cut]);
                let first = source.download(&mut testbed, &code).await;
                let context = format!("{source:?}, {cut:?}, restarts: {restarts}: {first:?}");
                assert_eq!(testbed.state(LOCAL).await, state, "{context}");
                testbed.reconnect();
                if restarts {
                    testbed.power_cycle();
                }
                match first {
                    Ok(installed) => {
                        assert_eq!(message, "handleNotification", "{context}");
                        assert!(matches!(installed.notification.handled, Handled::Kept(_)), "{context}");
                        let delivered = testbed.device.lpa.process_notifications().await.unwrap();
                        assert!(matches!(&delivered[..], [only] if only.failure().is_none()), "{context}");
                    }
                    Err(error) => {
                        assert!(error.is_retryable(), "{context}");
                        assert_eq!(testbed.profiles().await.0, [], "{context}");
                        let installed = source.download(&mut testbed, &code).await.unwrap();
                        assert_eq!(installed.notification.handled, Handled::Delivered, "{context}");
                    }
                }
                is_installed_once(source, &mut testbed, &code, &context).await;
            }
        }
        before = after;
    }
}

/// Checks that the profile is installed once, on the card and at the SM-DP+, and that nothing is
/// left to deliver or to download.
async fn is_installed_once(source: Source, testbed: &mut Testbed, code: &ActivationCode, context: &str) {
    assert_eq!(testbed.profiles().await.0, [iccid(LOCAL)], "{context}");
    assert_eq!(testbed.device.lpa.process_notifications().await.unwrap(), [], "{context}");
    let again = source.download(testbed, code).await.unwrap_err();
    let DownloadError::Session(SessionError::Server(error)) = &again else { panic!("{context}: {again}") };
    let nothing_left = match source {
        Source::DefaultSmDp => Status::EidNotAllowed,
        Source::ActivationCode | Source::WithConfirmationCode => Status::MatchingIdRefused,
    };
    assert_eq!(error.status(), Some(nothing_left), "{context}");
    assert_eq!(testbed.state(LOCAL).await, ProfileState::Installed, "{context}");
    assert_eq!(testbed.profiles().await.0, [iccid(LOCAL)], "{context}");
    let installations = testbed.server.installations(iccid(LOCAL)).await.unwrap();
    assert!(
        matches!(&installations[..], [only] if only.eid == testbed.eid()),
        "{context}: {installations:?}"
    );
}

#[tokio::test]
async fn a_download_with_an_activation_code_survives_a_cut_at_every_message() {
    survives_every_cut(Source::ActivationCode).await;
}

#[tokio::test]
async fn a_download_with_a_confirmation_code_survives_a_cut_at_every_message() {
    survives_every_cut(Source::WithConfirmationCode).await;
}

#[tokio::test]
async fn a_download_from_the_default_sm_dp_survives_a_cut_at_every_message() {
    survives_every_cut(Source::DefaultSmDp).await;
}
