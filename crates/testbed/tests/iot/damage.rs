//! Downloads through an eIM whose answers are damaged on their way.

use rsp::sgp32::esipa::{
    AuthenticateClientError, AuthenticateClientOkDp, AuthenticateClientResponse, GetBoundProfilePackageError,
    GetBoundProfilePackageResponse, InitiateAuthenticationRequest, InitiateAuthenticationResponse,
};

use super::*;

/// Damages the answer to a request. The last argument is a profile that is on the card.
type Damage = fn(&[u8], &[u8], Iccid) -> Option<Vec<u8>>;

/// Replaces the challenge of the request wherever the answer has it.
fn other_challenge(request: &[u8], answer: &[u8], _: Iccid) -> Option<Vec<u8>> {
    let sent = InitiateAuthenticationRequest::from_der(request).ok()?;
    let at = answer.windows(16).position(|octets| octets == sent.euicc_challenge)?;
    let mut damaged = answer.to_vec();
    damaged[at] ^= 1;
    Some(damaged)
}

fn other_signature_of_the_server(_: &[u8], answer: &[u8], _: Iccid) -> Option<Vec<u8>> {
    let answer = InitiateAuthenticationResponse::from_der(answer).ok()?;
    let InitiateAuthenticationResponse::Ok(mut ok) = answer else { return None };
    ok.server_signature1[9] ^= 1;
    Some(InitiateAuthenticationResponse::Ok(ok).to_der())
}

/// Changes the offer of a profile.
fn other_offer(answer: &[u8], change: impl FnOnce(&mut AuthenticateClientOkDp)) -> Option<Vec<u8>> {
    let answer = AuthenticateClientResponse::from_der(answer).ok()?;
    let AuthenticateClientResponse::OkDp(mut ok) = answer else { return None };
    change(&mut ok);
    Some(AuthenticateClientResponse::OkDp(ok).to_der())
}

fn other_signature_of_the_offer(_: &[u8], answer: &[u8], _: Iccid) -> Option<Vec<u8>> {
    other_offer(answer, |offer| offer.smdp_signature2[9] ^= 1)
}

fn offer_of_another_session(_: &[u8], answer: &[u8], _: Iccid) -> Option<Vec<u8>> {
    other_offer(answer, |offer| offer.transaction_id = Some(TransactionId(vec![1])))
}

fn offer_of_a_present_profile(_: &[u8], answer: &[u8], present: Iccid) -> Option<Vec<u8>> {
    other_offer(answer, |offer| offer.profile_metadata.as_mut().unwrap().iccid = present)
}

/// The metadata of the offer are not signed. The package determines what would be installed.
fn other_metadata(_: &[u8], answer: &[u8], _: Iccid) -> Option<Vec<u8>> {
    other_offer(answer, |offer| {
        offer.profile_metadata.as_mut().unwrap().profile_name = "Another profile".to_owned();
    })
}

fn refusal_of_the_rules(_: &[u8], answer: &[u8], _: Iccid) -> Option<Vec<u8>> {
    AuthenticateClientResponse::from_der(answer).ok()?;
    Some(AuthenticateClientResponse::Error(AuthenticateClientError::PPR_NOT_ALLOWED).to_der())
}

fn refusal_of_the_order(_: &[u8], answer: &[u8], _: Iccid) -> Option<Vec<u8>> {
    AuthenticateClientResponse::from_der(answer).ok()?;
    Some(AuthenticateClientResponse::Error(AuthenticateClientError::MATCHING_ID_REFUSED).to_der())
}

fn refusal_of_the_metadata(_: &[u8], answer: &[u8], _: Iccid) -> Option<Vec<u8>> {
    GetBoundProfilePackageResponse::from_der(answer).ok()?;
    Some(GetBoundProfilePackageResponse::Error(GetBoundProfilePackageError::METADATA_MISMATCH).to_der())
}

// req: SGP.32-3.2.3.2-Echo
#[test]
fn a_damaged_answer_ends_a_download_through_the_eim() {
    // The last column: the IPA cancels the session.
    let cases: [(Damage, &str, bool); 9] = [
        (other_challenge, "challenge other than", false),
        (other_signature_of_the_server, "the eUICC refused the server: invalid-signature", false),
        (other_signature_of_the_offer, "the eUICC refused to prepare the download: invalid-signature", false),
        (offer_of_another_session, "the download was cancelled (undefined-reason(127))", true),
        (offer_of_a_present_profile, "the download was cancelled (postponed(1))", true),
        (other_metadata, "the download was cancelled (metadata-mismatch(4))", true),
        (refusal_of_the_rules, "AuthenticateClient: the eIM answered ppr-not-allowed", true),
        (refusal_of_the_order, "AuthenticateClient: the eIM answered matching-id-refused", false),
        (refusal_of_the_metadata, "GetBoundProfilePackage: the eIM answered metadata-mismatch", true),
    ];
    for (damage, expected, is_cancelled) in cases {
        simulate(async |simulation| {
            let mut setup = setup();
            setup.ipa.features = vec![ipa_features::INDIRECT_RSP_SERVER_COMMUNICATION];
            let mut iot = Iot::from_factory(&simulation, &setup).await.unwrap();
            let (real, present) = (iot.first_eim().unwrap().link(), iot.bootstrap);
            let damaging = link_from(tower::service_fn(move |request: Request<Bytes>| {
                let real = real.clone();
                async move {
                    let sent = request.body().clone();
                    let mut response = world::send(&real, request).await?;
                    if let Some(damaged) = damage(&sent, response.body(), present) {
                        *response.body_mut() = damaged.into();
                    }
                    Ok(response)
                }
            }));
            iot.substitute_first_eim(damaging).unwrap();
            let code = iot.release(iot.local).await.unwrap();
            let id = iot.order(0, download(code, false)).await.unwrap();
            let report = iot.check_in().await.unwrap();
            let why = &report.visits[0].packages[0].results[0];
            assert!(why.contains(expected), "{why}");
            assert!(matches!(iot.outcome(0, &id).await.unwrap(), Some(Outcome::Download(_))));
            assert_eq!(held(&mut iot).await, [iot.bootstrap]);
            let events = iot.events.all();
            let cancelled =
                |party| events.iter().any(|event| event.party == party && event.function == "CancelSession");
            assert_eq!(["eIM", "SM-DP+"].map(cancelled), [is_cancelled; 2], "{expected}");
        });
    }
}
