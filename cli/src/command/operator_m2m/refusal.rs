//! What a person does about a function that was not done.

use rsp::sgp02::status::Status;
use world::Fault;

use crate::m2m::operator::Answer;

/// That the function was not done, why, and what helps.
pub(super) fn refused(function: &str, answer: &Answer) -> Fault {
    Fault::new(format!("{function} was not done"), answer.status.clone(), next(answer.refusal()))
}

fn next(refusal: Option<Status>) -> &'static str {
    match refusal {
        Some(Status::FunctionExpired) => {
            "see that the device is on and reached by its number, and that the SM-SR is at its message centre (`landfall sm-sr \
             serve --smsc`); `landfall sm-sr eis` has what waits for the card; then ask again, or for longer with --validity"
        }
        Some(
            Status::EuiccInaccessible
            | Status::EuiccTimeout
            | Status::EuiccNoResponse
            | Status::EuiccUnavailable,
        ) => {
            "see that the device is on, and in reach of a network; `landfall sm-sr eis` has what waits for the card"
        }
        Some(Status::EidUnknown | Status::EisUnknown) => {
            "correct --eid, or name the SM-SR that manages it (--sm-sr); `landfall sm-sr list` has the cards"
        }
        Some(Status::EidNotAllowed) => {
            "ask as an operator of it (`landfall operator --name`), or ask the SM-SR itself with --es4: through an SM-DP only \
             those may ask to whom it has downloaded"
        }
        Some(Status::IccidUnknown) => {
            "correct --iccid; `landfall sm-dp list` has the profiles in stock, `operator m2m get-eis --es4` those on the \
             eUICC. Without --es4 it must be one that the SM-DP has downloaded, which the first is not"
        }
        Some(Status::IccidNotAllowed) => "ask as the operator of the profile (`landfall operator --name`)",
        Some(Status::IccidRefused) => {
            "give the attribute to another profile first: `landfall operator m2m set-fallback` or `set-emergency`"
        }
        Some(Status::Pol2Refused) => "change the rules first: `landfall operator m2m update-policy`",
        Some(Status::ProfileUnavailable | Status::ProfileTypeUnknown | Status::ProfileTypeUnavailable) => {
            "choose another; `landfall sm-dp list` has the profiles in stock and how they stand"
        }
        Some(Status::SmsrUnknown) => {
            "say where that SM-SR is to who was asked: an SM-DP by `landfall sm-dp serve --sm-sr OID@HOST:PORT`, an SM-SR by \
             `landfall sm-sr serve --peer sm-sr:OID@HOST:PORT`"
        }
        Some(Status::SmsrInaccessible) => {
            "start that SM-SR, or correct its address: `landfall sm-dp serve --sm-sr`, `landfall sm-sr serve --peer`"
        }
        Some(Status::RequesterUnknown | Status::RequesterNotAllowed) => {
            "make this operator known to who was asked: `landfall sm-sr serve --peer operator:OID@HOST:PORT`, `landfall sm-dp serve \
             --m2m-operator OID@HOST:PORT`"
        }
        _ => {
            "`landfall operator m2m get-eis` and `audit` show how the eUICC stands, the log of who was asked what it did"
        }
    }
}

#[cfg(test)]
mod tests {
    use rsp::sgp02::{BaseResponse, common::ExecutionStatus};

    use super::*;

    #[test]
    fn what_helps_goes_by_what_was_refused() {
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
