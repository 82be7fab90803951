use rsp::der::Raw;
use rsp::ids::{CertificateDer, SubjectKeyIdentifier, Version};
use rsp::sgp22::{EuiccInfo1, ServerSigned1};

use super::*;

fn code(text: &str) -> ActivationCode {
    text.parse().unwrap()
}

fn request() -> InitiateAuthenticationRequest {
    let euicc_info1 = EuiccInfo1 {
        svn: Version([2, 2, 0]),
        euicc_ci_pk_id_list_for_verification: vec![],
        euicc_ci_pk_id_list_for_signing: vec![],
    };
    InitiateAuthenticationRequest {
        euicc_challenge: [7; 16],
        smdp_address: "smdp.example.com".into(),
        euicc_info1: Raw::new(euicc_info1),
    }
}

fn signed() -> ServerSigned1 {
    ServerSigned1 {
        transaction_id: TransactionId(vec![1]),
        euicc_challenge: [7; 16],
        server_address: "SMDP.example.com".into(),
        server_challenge: [8; 16],
    }
}

fn answer(signed: ServerSigned1) -> InitiateAuthenticationOk {
    InitiateAuthenticationOk {
        transaction_id: TransactionId(vec![1]),
        server_signed1: Raw::new(signed),
        server_signature1: vec![0; 64],
        euicc_ci_pk_id_to_be_used: SubjectKeyIdentifier(vec![1]),
        server_certificate: CertificateDer(vec![0x30, 0]),
    }
}

// req: SGP.22-3.0.1-Echo
#[test]
fn values_that_the_server_must_echo_are_compared() {
    let code = code("1$smdp.example.com$M");
    let check = |signed| check_initiate_authentication(&request(), &answer(signed), &code);
    assert_eq!(check(signed()), Ok(()));
    assert_eq!(
        check(ServerSigned1 { euicc_challenge: [0; 16], ..signed() }),
        Err(ServerFlaw::OtherChallenge)
    );
    let other = ServerSigned1 { server_address: "smdp.example.org".into(), ..signed() };
    assert!(matches!(check(other), Err(ServerFlaw::OtherAddress { .. })));
    let other = ServerSigned1 { transaction_id: TransactionId(vec![2]), ..signed() };
    assert!(matches!(check(other), Err(ServerFlaw::OtherTransaction { .. })));
}

// req: SGP.22-3.0.1-Oid
#[test]
fn an_oid_in_the_activation_code_must_be_in_the_certificate() {
    let code = code("1$smdp.example.com$M$2.999.10");
    let flaw = check_initiate_authentication(&request(), &answer(signed()), &code);
    assert!(matches!(flaw, Err(ServerFlaw::Certificate(_))));
}

#[test]
fn the_port_is_removed_from_an_address() {
    let without = |address: &str| without_port(&address.parse().unwrap());
    assert_eq!(without("smdp.example.com:8443").as_deref(), Some("smdp.example.com"));
    assert_eq!(without("smdp.example.com"), None);
    assert_eq!(without("[::1]:8443").as_deref(), Some("[::1]"));
    assert_eq!(without("[::1]"), None);
}

#[test]
fn a_retry_can_help_unless_a_refusal_is_final() {
    let refused = |status: Status| -> SessionError {
        let status = status.because("requested by the test").into();
        Es9Error::Refused { function: "AuthenticateClient", status }.into()
    };
    for (status, is_retryable) in [
        (Status::TransactionUnknown, true),
        (Status::ProfileNotReleased, true),
        (Status::ConfirmationCodeMissing, true),
        (Status::ConfirmationCodeRefused, true),
        (Status::MatchingIdRefused, false),
        (Status::DownloadAttemptsExceeded, false),
    ] {
        assert_eq!(refused(status).is_retryable(), is_retryable, "{status:?}");
    }
    let fault = world::LinkFault::new(world::LinkFaultKind::Timeout, "server", "no response");
    let lost = Es9Error::Link { function: "AuthenticateClient", fault };
    assert!(SessionError::from(lost).is_retryable());
    let flaw = ServerFlaw::Certificate("expired".to_owned());
    assert!(!SessionError::from(flaw).is_retryable());
}
