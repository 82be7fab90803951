//! Advice for functions that a peer refused.

use rsp::sgp02::status::Status;
use world::{Fault, PeerStatus};

use crate::m2m::operator::Answer;

/// Returns a fault with the function, the status, and what to do.
pub(super) fn refused(function: &str, answer: &Answer) -> Fault {
    let status = answer.subject.clone().zip(answer.reason.clone());
    let status = status.map(|(subject, reason)| PeerStatus { subject, reason, message: None });
    Fault::new(format!("{function} failed"), answer.status.clone(), next(answer.refusal()))
        .refused_with(status)
}

fn next(refusal: Option<Status>) -> &'static str {
    match refusal {
        Some(Status::FunctionExpired) => {
            "check that the device is on and reachable by its number, and that the SM-SR is connected to its SMSC (`landfall sm-sr \
                         serve --smsc`); `landfall sm-sr eis` shows the pending commands of the card; then retry, or allow more time with --validity"
        }
        Some(
            Status::EuiccInaccessible
            | Status::EuiccTimeout
            | Status::EuiccNoResponse
            | Status::EuiccUnavailable,
        ) => {
            "check that the device is on and has service; `landfall sm-sr eis` shows the pending commands of the card"
        }
        Some(Status::EidUnknown | Status::EisUnknown) => {
            "correct the EID, or give the SM-SR that manages the eUICC (--sm-sr); `landfall sm-sr list` lists the cards"
        }
        Some(Status::EidNotAllowed) => {
            "use an operator that owns a profile on it (`landfall operator --name`), or call the SM-SR with --es4: through an \
                         SM-DP only operators that downloaded a profile to the eUICC are allowed"
        }
        Some(Status::IccidUnknown) => {
            "correct the ICCID; `landfall sm-dp list` lists the profiles in stock, `operator m2m get-eis --es4` those on the \
                         eUICC. Without --es4 the profile must have been downloaded by the SM-DP, which the first profile was not"
        }
        Some(Status::IccidNotAllowed) => {
            "use the operator that owns the profile (`landfall operator --name`)"
        }
        Some(Status::IccidRefused) => {
            "set the attribute on another profile first: `landfall operator m2m set-fallback` or `set-emergency`"
        }
        Some(Status::Pol2Refused) => "change the rules first: `landfall operator m2m update-policy`",
        Some(Status::ProfileUnavailable | Status::ProfileTypeUnknown | Status::ProfileTypeUnavailable) => {
            "choose another profile; `landfall sm-dp list` lists the profiles in stock with their states"
        }
        Some(Status::SmsrUnknown) => {
            "configure that SM-SR at the called server: at an SM-DP with `landfall sm-dp serve --sm-sr OID@HOST:PORT`, at an SM-SR \
                         with `landfall sm-sr serve --peer sm-sr:OID@HOST:PORT`"
        }
        Some(Status::SmsrInaccessible) => {
            "start that SM-SR, or correct its address: `landfall sm-dp serve --sm-sr`, `landfall sm-sr serve --peer`"
        }
        Some(Status::RequesterUnknown | Status::RequesterNotAllowed) => {
            "configure this operator at the called server: `landfall sm-sr serve --peer operator:OID@HOST:PORT`, `landfall sm-dp serve \
                         --m2m-operator OID@HOST:PORT`"
        }
        _ => {
            "`landfall operator m2m get-eis` and `audit` show the state of the eUICC; the log of the called server shows the cause"
        }
    }
}

#[cfg(test)]
mod tests {
    use rsp::sgp02::{BaseResponse, common::ExecutionStatus};

    use super::*;

    #[test]
    fn the_advice_depends_on_the_status() {
        for (status, helps) in [
            (Status::SmsrUnknown, "sm-dp serve --sm-sr"),
            (Status::SmsrUnknown, "--peer sm-sr:"),
            (Status::IccidUnknown, "--es4"),
            (Status::IccidUnknown, "sm-dp list"),
            (Status::EidUnknown, "sm-sr list"),
            (Status::IccidRefused, "set-fallback"),
            (Status::FunctionExpired, "the device is on"),
            (Status::FunctionExpired, "--validity"),
            (Status::ProfileTypeUnknown, "in stock"),
            (Status::EuiccExecutionError, "audit"),
        ] {
            let base = BaseResponse::failed(&status.because("no"));
            let fault = refused("It", &Answer::of(&base));
            assert!(fault.next.contains(helps), "{status}: {}", fault.next);
            assert_eq!(fault.why, base.function_execution_status.to_string());
        }
        let expired = BaseResponse::expired(None, "too late");
        assert_eq!(expired.function_execution_status.status, ExecutionStatus::Expired);
        let fault = refused("It", &Answer::of(&expired));
        assert!(fault.next.contains("sm-sr eis"), "{}", fault.next);
    }
}
