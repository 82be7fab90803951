//! Download and enabling of a profile with one fault each: a lost request, a lost response or a
//! duplicated message between servers, or a restart of SM-DP or SM-SR at one of its commits. In
//! each case the operator must be informed that the profile is enabled, and the card must agree.

use network::{EmmCause, Network, Policy};
use rsp::{ids::Iccid, sgp02::eis::ProfileState};
use testbed::m2m::{Bearer, LOCAL, M2m, SM_DP_PLACE, SM_SR_PLACE, recording::Message};

use crate::support::{Prepared, VALIDITY, status};

/// Faults that lose or duplicate a message.
const OF_LINKS: [&str; 3] = ["link/lose-request", "link/lose-answer", "link/duplicate"];

/// Faults that restart a server before or after a commit.
const OF_COMMITS: [&str; 2] = ["records/crash-before-commit=3s", "records/crash-after-commit=3s"];

/// Downloads and enables the profile with a fault. Returns the number of occasions at which the
/// fault could have happened.
fn download_with(prepared: &Prepared, fault: &str) -> u32 {
    prepared.run(async |run| {
        prepared.recording.take();
        run.faults.install(fault.parse().unwrap());
        let response = run.download(true, VALIDITY).await.unwrap();
        let occasions = run.faults.occasions()[0].1;
        assert_eq!(status(&response.base), "EXECUTED_SUCCESS", "{fault}");
        let start = &prepared.start;
        assert_eq!(response.iccid, Some(start.local), "{fault}");
        is_enabled(&run, start.local).await;
        // The fault can restart a server after the response.
        let agree = run.until(VALIDITY, |state| state.wrong(start.bootstrap, start.local).is_empty());
        agree.await.unwrap_or_else(|why| panic!("{fault}: {why}"));
        let has_session = prepared.recording.take().iter().any(|it| matches!(it, Message::Request(_)));
        assert_eq!(has_session, prepared.setup.bearer == Bearer::Https, "{fault}");
        let happens = !fault.ends_with(NEVER);
        assert_eq!(run.faults.injected_count(), u32::from(happens), "{fault}: {occasions} occasions");
        occasions
    })
}

/// A condition that is never met, for a fault whose occasions are only counted.
const NEVER: &str = "#4000000000";

/// Counts the occasions of a fault in a download without faults.
fn occasions(prepared: &Prepared, fault: &str) -> u32 {
    download_with(prepared, &format!("{fault}{NEVER}"))
}

async fn is_enabled(run: &M2m, iccid: Iccid) {
    let eis = run.audit(VALIDITY).await.unwrap();
    let enabled: Vec<_> = eis.profile_info.iter().filter(|it| it.state == ProfileState::Enabled).collect();
    assert_eq!(enabled.len(), 1, "{:?}", eis.profile_info);
    assert_eq!(enabled[0].iccid, iccid);
}

/// Restarts a server before and after each of its commits. Each restart occurs in a separate
/// download.
fn restarted_at_each_commit(server: &str, bearer: Bearer) {
    let prepared = Prepared::new(bearer);
    let commits = occasions(&prepared, &format!("{}@{server}", OF_COMMITS[0]));
    for at in 1..=commits {
        for fault in OF_COMMITS {
            download_with(&prepared, &format!("{fault}@{server}#{at}"));
        }
    }
}

#[test]
fn a_profile_is_downloaded_and_enabled() {
    for bearer in [Bearer::Sms, Bearer::Https] {
        let prepared = Prepared::new(bearer);
        let occasions = |fault: &str, place: &str| occasions(&prepared, &format!("{fault}{place}"));
        assert!(occasions(OF_LINKS[0], "") >= 14, "{bearer:?}");
        assert!(occasions(OF_COMMITS[0], "@sm-dp") >= 10, "{bearer:?}");
        assert!(occasions(OF_COMMITS[0], "@sm-sr") >= 20, "{bearer:?}");
    }
}

#[test]
fn a_download_survives_each_lost_or_duplicated_message() {
    let prepared = Prepared::new(Bearer::Sms);
    let messages = occasions(&prepared, OF_LINKS[0]);
    for at in 1..=messages {
        for fault in OF_LINKS {
            download_with(&prepared, &format!("{fault}#{at}"));
        }
    }
}

#[test]
fn a_download_over_sms_survives_sm_dp_restarts_at_each_commit() {
    restarted_at_each_commit(SM_DP_PLACE, Bearer::Sms);
}

#[test]
fn a_download_over_https_survives_sm_dp_restarts_at_each_commit() {
    restarted_at_each_commit(SM_DP_PLACE, Bearer::Https);
}

#[test]
fn a_download_over_sms_survives_sm_sr_restarts_at_each_commit() {
    restarted_at_each_commit(SM_SR_PLACE, Bearer::Sms);
}

#[test]
fn a_download_over_https_survives_sm_sr_restarts_at_each_commit() {
    restarted_at_each_commit(SM_SR_PLACE, Bearer::Https);
}

#[test]
fn a_profile_refused_by_its_network_is_not_enabled() {
    let prepared = Prepared::new(Bearer::Sms);
    let (bootstrap, local) = (prepared.start.bootstrap, prepared.start.local);
    prepared.run(async |run| {
        let refusing = Policy::refusing_everybody(EmmCause::PLMN_NOT_ALLOWED);
        run.networks.put(Network::new(LOCAL.parse().unwrap(), "Local", "DE").with_policy(refusing));
        let response = run.download(true, VALIDITY).await.unwrap();
        let status = status(&response.base);
        assert!(status.starts_with("EXECUTED_WITHWARNING"), "{status}");
        is_enabled(&run, bootstrap).await;
        // The profile is installed, so that another attempt is possible.
        let eis = run.audit(VALIDITY).await.unwrap();
        let local = eis.profile_info.iter().find(|it| it.iccid == local).unwrap();
        assert_eq!(local.state, ProfileState::Disabled);
    });
}
