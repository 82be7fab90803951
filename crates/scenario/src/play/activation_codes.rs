//! ES2+ for the operator of a third-party SM-DP+ that takes no orders: the operator hands out
//! activation codes that it already has.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use rsp::ids::{Iccid, Version};
use rsp::sgp22::Function;
use rsp::sgp22::es2plus::{
    self, CancelOrderRequest, ConfirmOrderReply, ConfirmOrderRequest, DownloadOrderReply,
    DownloadOrderRequest,
};
use rsp::sgp22::json;
use rsp::status::{Refusal, Status};
use serde::Serialize;
use serde::de::DeserializeOwned;
use world::{Link, LinkFault, link_from};

/// The supported version of SGP.22.
const VERSION: Version = Version([2, 5, 0]);

/// An activation code.
struct Code {
    iccid: Iccid,
    matching_id: String,
    /// The function call identifier of the order that took the code.
    taken_by: Option<String>,
}

/// Creates the ES2+ interface. Each order gets the next unused code; a used code is never given out
/// again.
pub(super) fn desk(address: &str, codes: impl IntoIterator<Item = (Iccid, String)>) -> Link {
    let codes = codes.into_iter().map(|(iccid, matching_id)| Code { iccid, matching_id, taken_by: None });
    let codes: Arc<Mutex<Vec<Code>>> = Arc::new(Mutex::new(codes.collect()));
    let address: Arc<str> = address.into();
    link_from(tower::service_fn(move |request: Request<Bytes>| {
        let (codes, address) = (Arc::clone(&codes), Arc::clone(&address));
        async move {
            let mut codes = codes.lock().unwrap_or_else(PoisonError::into_inner);
            Ok::<_, LinkFault>(answer(&mut codes, &address, &request))
        }
    }))
}

fn answer(codes: &mut [Code], address: &str, request: &Request<Bytes>) -> Response<Bytes> {
    let path = request.uri().path();
    if path == es2plus::DownloadOrder::path() {
        respond(request, |order: DownloadOrderRequest| {
            let call = order.header.function_call_identifier;
            let again = codes.iter().position(|code| code.taken_by.as_ref() == Some(&call));
            let next = again.or_else(|| codes.iter().position(|code| code.taken_by.is_none()));
            let code = next.and_then(|next| codes.get_mut(next));
            let none = || Status::ProfileTypeUnavailable.because("all activation codes are used");
            let code = code.ok_or_else(none)?;
            code.taken_by = Some(call);
            Ok(DownloadOrderReply { iccid: code.iccid })
        })
    } else if path == es2plus::ConfirmOrder::path() {
        respond(request, |order: ConfirmOrderRequest| {
            let code = codes.iter().find(|code| code.iccid == order.iccid);
            let code = code
                .ok_or_else(|| Status::IccidUnknown.because("there is no activation code for this ICCID"))?;
            let smdp_address = Some(address.to_owned());
            Ok(ConfirmOrderReply { eid: order.eid, matching_id: code.matching_id.clone(), smdp_address })
        })
    } else if path == es2plus::CancelOrder::path() {
        // Refuses each CancelOrder, because the SM-DP+ cannot be notified and the code would still
        // work.
        respond(request, |_: CancelOrderRequest| -> Result<(), Refusal> {
            Err(Status::IccidInvalidTransition.because("an activation code cannot be revoked"))
        })
    } else {
        status(StatusCode::NOT_FOUND)
    }
}

fn respond<T: DeserializeOwned, R: Serialize>(
    request: &Request<Bytes>,
    decide: impl FnOnce(T) -> Result<R, Refusal>,
) -> Response<Bytes> {
    match serde_json::from_slice(request.body()) {
        Ok(request) => match decide(request) {
            Ok(reply) => json::response(VERSION, Ok(&reply)),
            Err(refusal) => json::response::<R>(VERSION, Err(refusal)),
        },
        Err(_) => status(StatusCode::BAD_REQUEST),
    }
}

fn status(code: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = code;
    response
}

#[cfg(test)]
mod tests {
    use rsp::sgp22::es2plus::{ConfirmOrder, DownloadOrder};
    use rsp::sgp22::json::RequestHeader;
    use world::CallError;

    use super::*;

    fn header(call: &str) -> RequestHeader {
        RequestHeader::new("2.999.1", call)
    }

    fn order(call: &str) -> DownloadOrderRequest {
        let profile_type = Some("local".to_owned());
        DownloadOrderRequest { header: header(call), eid: None, iccid: None, profile_type }
    }

    #[tokio::test]
    async fn each_call_gets_its_own_code_and_a_repeated_call_gets_the_same_code() {
        let [one, two]: [Iccid; 2] =
            ["89000123456789012341", "89724990000000000019"].map(|iccid| iccid.parse().unwrap());
        let desk = desk("dp.example:4430", [(one, "FIRST".to_owned()), (two, "SECOND".to_owned())]);
        for (call, iccid) in [("a", one), ("b", two), ("a", one)] {
            let done = world::call::<DownloadOrder>(&desk, VERSION, &order(call)).await.result;
            assert_eq!(done.unwrap(), DownloadOrderReply { iccid }, "{call}");
        }
        let third = world::call::<DownloadOrder>(&desk, VERSION, &order("c")).await.result;
        let Err(CallError::Refused(why)) = third else {
            panic!("expected a refusal, because there are only two codes")
        };
        assert_eq!(why.status(), Some(Status::ProfileTypeUnavailable));
        let confirm = ConfirmOrderRequest::new(header("d"), two);
        let reply = world::call::<ConfirmOrder>(&desk, VERSION, &confirm).await.result.unwrap();
        assert_eq!(
            (reply.matching_id.as_str(), reply.smdp_address.as_deref()),
            ("SECOND", Some("dp.example:4430"))
        );
    }
}
